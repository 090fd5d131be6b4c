"""The quantizers we accept, with their parameters checked: what may stand in a model file and nothing else.

Parameter names, order and defaults are those of the classes in qkeras 0.9.0 (`qkeras.quantizers`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.quantizer_text import Literal, parse_call

_Check = Callable[[Literal], bool]


@dataclass(frozen=True)
class Quantizer:
    """A checked quantizer: QKeras's class name and every parameter that has an effect."""

    name: str
    parameters: Mapping[str, Literal]

    def integer(self, name: str) -> int:
        return int(self.parameters[name] or 0)

    def number(self, name: str) -> float:
        return float(self.parameters[name] or 0.0)

    def flag(self, name: str) -> bool:
        return bool(self.parameters[name])

    def __str__(self) -> str:
        """As one writes it in QKeras: bits and integer bits first, then whatever is not the default."""
        leading = _LEADING.get(self.name, ())
        others = {k: v for k, v in self.parameters.items() if k not in leading and v != _DEFAULTS[self.name][k]}
        texts = [str(self.parameters[k]) for k in leading] + [f"{k}={v!r}" for k, v in others.items()]
        return f"{self.name}({','.join(texts)})"


def _is_integer(low: int, high: int) -> _Check:
    return lambda v: isinstance(v, int | float) and math.isfinite(v) and v == int(v) and low <= v <= high


def _one_of(*values: Literal) -> _Check:
    return lambda v: any(v == allowed and (v is None) == (allowed is None) for allowed in values)


def _is_alpha(*texts: str) -> _Check:
    def check(v: Literal) -> bool:
        if v is None or v in texts:
            return True
        return isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and 0 < v <= 2.0**16

    return check


def _is_slope(v: Literal) -> bool:
    return isinstance(v, int | float) and (v == 0 or (2.0**-8 <= v <= 1 and math.frexp(v)[0] == 0.5))


def _is_positive(v: Literal) -> bool:
    return isinstance(v, int | float) and math.isfinite(v) and v > 0


_FLAG = _one_of(False, True)
_NEVER = _one_of(False)
_SCALE_ALPHA = _is_alpha("auto", "auto_po2")
_BITS = _is_integer(1, 8)

# class -> parameters in QKeras's order: (default, accepted values). One that takes only its default value is
# listed so that a file may state it.
_PARAMETERS: dict[str, dict[str, tuple[Literal, _Check]]] = {
    "quantized_bits": {
        "bits": (8, _BITS),
        "integer": (0, _is_integer(0, 16)),  # QKeras itself fails below 0
        "symmetric": (0, _FLAG),
        "keep_negative": (True, _FLAG),
        "alpha": (None, _SCALE_ALPHA),
        "use_stochastic_rounding": (False, _NEVER),
        "scale_axis": (None, _one_of(None)),
        "qnoise_factor": (1.0, _one_of(1.0)),
        "var_name": (None, _one_of(None)),
        "use_ste": (True, _FLAG),
        "use_variables": (False, _FLAG),
    },
    "quantized_relu": {
        "bits": (8, _BITS),
        "integer": (0, _is_integer(0, 16)),  # QKeras itself fails below 0
        "use_sigmoid": (0, _NEVER),
        "negative_slope": (0.0, _is_slope),
        "use_stochastic_rounding": (False, _NEVER),
        "relu_upper_bound": (None, _one_of(None)),
        "is_quantized_clip": (True, _one_of(True)),
        "qnoise_factor": (1.0, _one_of(1.0)),
        "var_name": (None, _one_of(None)),
        "use_ste": (True, _FLAG),
        "use_variables": (False, _FLAG),
    },
    "quantized_sigmoid": {
        "bits": (8, _BITS),
        "symmetric": (False, _FLAG),
        "use_real_sigmoid": (False, _FLAG),
        "use_stochastic_rounding": (False, _NEVER),
    },
    "quantized_tanh": {
        "bits": (8, _is_integer(2, 8)),
        "use_stochastic_rounding": (False, _NEVER),
        "symmetric": (False, _FLAG),
        "use_real_tanh": (False, _FLAG),
    },
    "ternary": {
        "alpha": (None, _SCALE_ALPHA),
        "threshold": (None, lambda v: v is None or _is_positive(v)),
        "use_stochastic_rounding": (False, _NEVER),
        "number_of_unrolls": (5, _is_integer(0, 100)),
    },
    "stochastic_ternary": {
        "alpha": (None, _SCALE_ALPHA),
        "threshold": (None, lambda v: v is None or _is_positive(v)),
        "temperature": (8.0, _is_positive),
        "use_real_sigmoid": (True, _FLAG),
        "number_of_unrolls": (5, _is_integer(0, 100)),
    },
    "binary": {
        "use_01": (False, _FLAG),
        "alpha": (None, _SCALE_ALPHA),
        "use_stochastic_rounding": (False, _NEVER),
    },
    "stochastic_binary": {
        "alpha": (None, _SCALE_ALPHA),
        "temperature": (6.0, _is_positive),
        "use_real_sigmoid": (True, _FLAG),
    },
}
_DEFAULTS: dict[str, dict[str, Literal]] = {
    name: {key: default for key, (default, _) in parameters.items()} for name, parameters in _PARAMETERS.items()
}

_LEADING = {
    "quantized_bits": ("bits", "integer"),
    "quantized_relu": ("bits", "integer"),
    "quantized_sigmoid": ("bits",),
    "quantized_tanh": ("bits",),
}

KERNEL_QUANTIZERS = ("quantized_bits", "ternary", "stochastic_ternary", "binary", "stochastic_binary")
BIAS_QUANTIZERS = KERNEL_QUANTIZERS
ACTIVATION_QUANTIZERS = (
    "quantized_relu", "quantized_bits", "quantized_sigmoid", "quantized_tanh", "ternary", "binary",
)  # fmt: skip

_ALTERNATIVES = {
    "quantized_linear": "quantized_bits",
    "quantized_po2": "quantized_bits(8,0,1,alpha='auto_po2')",
    "quantized_relu_po2": "quantized_relu",
    "quantized_ulaw": "quantized_bits",
    "quantized_hswish": "quantized_relu",
    "bernoulli": "stochastic_binary",
    "stochastic_ternary": "ternary",
    "stochastic_binary": "binary",
}


def read_quantizer(described: Any, allowed: tuple[str, ...]) -> Quantizer:
    """A quantizer from a model file: a text, or `{"class_name": ..., "config": {...}}`.

    Raises:
        StqError: unreadable, not in `allowed`, or with a parameter that cannot be converted. It says which and what
            to do; the caller adds the layer.
    """
    positional: list[Literal] = []
    named: dict[str, Literal]
    if isinstance(described, str):
        name, positional, named = parse_call(described)
    elif isinstance(described, dict) and isinstance(described.get("class_name"), str):
        name, config = described["class_name"], described.get("config")
        if not isinstance(config, dict):
            raise StqError(f"the quantizer {shown(name)} has no settings", next="save the model again")
        named = config
    else:
        raise StqError(f"{shown(described)} is not a quantizer", next=f"use one of: {', '.join(allowed)}")
    if name not in allowed:
        nearest = _ALTERNATIVES.get(name, "")
        raise StqError(
            f"the quantizer {shown(name)} is not supported here",
            next=f"use {nearest} instead" if nearest in allowed else f"use one of: {', '.join(allowed)}",
        )
    return Quantizer(name, _check_parameters(name, positional, named))


def _check_parameters(name: str, positional: list[Literal], named: Mapping[str, Any]) -> dict[str, Literal]:
    known = _PARAMETERS[name]
    if len(positional) > len(known) or any(key in list(known)[: len(positional)] for key in named):
        raise StqError(f"{name} has too many or repeated parameters", next="check the quantizer's text")
    given = dict(zip(known, positional, strict=False)) | dict(named)
    for key in given:
        if key not in known:
            raise StqError(
                f"{name} has the unknown parameter {shown(key)}",
                cause="the model was written by another version of qkeras than 0.9",
                next=f"use only: {', '.join(known)}",
            )
    values: dict[str, Literal] = {}
    for key, (default, accepts) in known.items():
        value = given.get(key, default)
        if not (value is None or isinstance(value, int | float | str)) or not accepts(value):
            raise StqError(
                f"{name}: {key}={shown(value)} is not supported",
                next=f"use {key}={default!r}, QKeras's default, or the nearest value in range",
            )
        values[key] = value
    return values
