"""The quantizers that a model file may name, with their accepted parameters.

Parameter names, order and defaults are those of the classes in qkeras 0.9.0 (`qkeras.quantizers`), and those of
`quantized_linear` as in QKeras's repository after that release.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.normal_form import LATER_PARAMETERS, normal_parameters
from stq_deploy.frontend.quantizer_text import Literal, parse_call
from stq_deploy.frontend.values import AcceptedValues, is_real


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

    @property
    def powers_of_two(self) -> bool:
        """Whether its levels are powers of two, and not evenly spaced."""
        return self.name in ("quantized_po2", "quantized_relu_po2")

    def __str__(self) -> str:
        """The text that QKeras uses: bits and integer bits first, then every parameter that is not the default."""
        leading = _LEADING.get(self.name, ())
        others = {k: v for k, v in self.parameters.items() if k not in leading and v != _DEFAULTS[self.name][k]}
        texts = [str(self.parameters[k]) for k in leading] + [f"{k}={v!r}" for k, v in others.items()]
        return f"{self.name}({','.join(texts)})"


@dataclass(frozen=True)
class Role:
    """The kind of value that a quantizer quantizes.

    Attributes:
        what: its name in errors and docs/SUPPORT.md.
        quantizers: names of the accepted quantizers; the first is the one to recommend.
        bits: the most that their levels may have, including a sign.
    """

    what: str
    quantizers: tuple[str, ...]
    bits: int


KERNEL = Role(
    "weights",
    (
        "quantized_bits", "quantized_linear", "ternary", "stochastic_ternary", "binary", "stochastic_binary",
        "quantized_po2", "quantized_relu_po2",
    ),
    bits=16,
)  # fmt: skip
CONSTANT = Role("biases and the numbers of batch normalization", KERNEL.quantizers, bits=32)
AVERAGE = Role("averages", ("quantized_bits", "quantized_linear"), bits=32)
ACTIVATION = Role(
    "activations",
    (
        "quantized_relu", "quantized_bits", "quantized_linear", "quantized_sigmoid", "quantized_tanh", "ternary",
        "stochastic_ternary", "binary", "stochastic_binary",
    ),
    bits=16,
)  # fmt: skip
ANYTHING = Role("anything", tuple(dict.fromkeys(KERNEL.quantizers + ACTIVATION.quantizers)), bits=32)


def _whole(low: int, high: int) -> AcceptedValues:
    """As `values.whole`; QKeras's texts also have 4.0 for 4."""
    return AcceptedValues(
        f"a number from {low} to {high}", lambda v: is_real(v) and v == int(v) and low <= v <= high, low
    )


def _one_of(*values: Literal) -> AcceptedValues:
    """These values; True is 1 and False 0, as in QKeras's own texts."""

    def accepts(value: Literal) -> bool:
        return any(value == v and (value is None) == (v is None) for v in values)

    return AcceptedValues(" or ".join(repr(v) for v in values), accepts, values[0])


_LARGEST_SCALE = 2.0**16
_FLAG = _one_of(False, True)
_NEVER = _one_of(False)
_NOTHING = _one_of(None)
_POSITIVE = AcceptedValues("a number above 0", lambda v: is_real(v) and v > 0, 1.0)
_POSITIVE_OR_NONE = AcceptedValues("None, or a number above 0", lambda v: v is None or (is_real(v) and v > 0), None)
_ALPHA = AcceptedValues(
    "None, a number above 0, 'auto' or 'auto_po2'",
    lambda v: v in (None, "auto", "auto_po2") or (is_real(v) and 0 < v <= _LARGEST_SCALE),
    None,
)
_SLOPE = AcceptedValues(
    "0, or a power of two from 2**-15 to 1",
    lambda v: is_real(v) and (v == 0 or (2.0**-15 <= v <= 1 and math.frexp(v)[0] == 0.5)),
    0.0,
)
_AXIS = AcceptedValues(
    "None, an axis of the kernel, or -1 for one scale", lambda v: v is None or v in range(-1, 4), None
)
_BITS = _whole(1, 32)
_INTEGER = _whole(0, 31)  # below 0, QKeras itself fails
# Parameters that act in training only, or do not affect the result: stochastic rounding is to the nearest at inference.
_NOISE: dict[str, tuple[Literal, AcceptedValues]] = {
    "qnoise_factor": (1.0, _one_of(1.0)),
    "var_name": (None, _NOTHING),
    "use_ste": (True, _FLAG),
    "use_variables": (False, _FLAG),
}
_PO2: dict[str, tuple[Literal, AcceptedValues]] = {
    "use_stochastic_rounding": (False, _FLAG),
    "quadratic_approximation": (False, _FLAG),
    "log2_rounding": ("rnd", _one_of("rnd", "floor")),
    **_NOISE,
}

# class -> parameters in QKeras's order: (default, accepted values). One that takes only its default value is
# listed so that a file may state it.
PARAMETERS: dict[str, dict[str, tuple[Literal, AcceptedValues]]] = {
    "quantized_bits": {
        "bits": (8, _BITS),
        "integer": (0, _INTEGER),
        "symmetric": (0, _FLAG),
        "keep_negative": (True, _FLAG),
        "alpha": (None, _ALPHA),
        "use_stochastic_rounding": (False, _FLAG),
        "scale_axis": (None, _AXIS),
        **_NOISE,
    },
    "quantized_linear": {
        "bits": (8, _BITS),
        "integer": (0, _whole(-16, 31)),
        "symmetric": (1, _FLAG),
        "keep_negative": (True, _FLAG),
        "alpha": (None, _ALPHA),
        "use_stochastic_rounding": (False, _FLAG),
        "scale_axis": (None, _AXIS),
        "qnoise_factor": (1.0, _one_of(1.0)),
        "var_name": (None, _NOTHING),
        "use_variables": (False, _FLAG),
    },
    "quantized_relu": {
        "bits": (8, _BITS),
        "integer": (0, _INTEGER),
        "use_sigmoid": (0, _FLAG),
        "negative_slope": (0.0, _SLOPE),
        "use_stochastic_rounding": (False, _FLAG),
        "relu_upper_bound": (None, _POSITIVE_OR_NONE),
        "is_quantized_clip": (True, _FLAG),
        **_NOISE,
    },
    "quantized_sigmoid": {
        "bits": (8, _BITS),
        "symmetric": (False, _FLAG),
        "use_real_sigmoid": (False, _FLAG),
        "use_stochastic_rounding": (False, _FLAG),
    },
    "quantized_tanh": {
        "bits": (8, _whole(2, 32)),
        "use_stochastic_rounding": (False, _FLAG),
        "symmetric": (False, _FLAG),
        "use_real_tanh": (False, _FLAG),
    },
    "ternary": {
        "alpha": (None, _ALPHA),
        "threshold": (None, _POSITIVE_OR_NONE),
        "use_stochastic_rounding": (False, _FLAG),
        "number_of_unrolls": (5, _whole(0, 100)),
    },
    "stochastic_ternary": {
        "alpha": (None, _ALPHA),
        "threshold": (None, _POSITIVE_OR_NONE),
        "temperature": (8.0, _POSITIVE),
        "use_real_sigmoid": (True, _FLAG),
        "number_of_unrolls": (5, _whole(0, 100)),
    },
    "binary": {
        "use_01": (False, _FLAG),
        "alpha": (None, _ALPHA),
        "use_stochastic_rounding": (False, _NEVER),  # QKeras itself fails
    },
    "stochastic_binary": {
        "alpha": (None, _ALPHA),
        "temperature": (6.0, _POSITIVE),
        "use_real_sigmoid": (True, _FLAG),
    },
    "quantized_po2": {
        "bits": (8, _whole(2, 32)),
        "max_value": (None, _POSITIVE_OR_NONE),
        **_PO2,
    },
    "quantized_relu_po2": {
        "bits": (8, _whole(2, 32)),
        "max_value": (None, _POSITIVE_OR_NONE),
        "negative_slope": (0, _SLOPE),
        **_PO2,
    },
}
_DEFAULTS: dict[str, dict[str, Literal]] = {
    name: {key: default for key, (default, _) in parameters.items()} for name, parameters in PARAMETERS.items()
}

_LEADING = {
    "quantized_bits": ("bits", "integer"),
    "quantized_linear": ("bits", "integer"),
    "quantized_relu": ("bits", "integer"),
    "quantized_sigmoid": ("bits",),
    "quantized_tanh": ("bits",),
    "quantized_po2": ("bits",),
    "quantized_relu_po2": ("bits",),
    "affine": ("low", "high", "scale"),
    "grid": ("low", "high", "scale", "rounding", "odd", "parts"),
    "stated": ("low", "high", "scale"),
}

_ALTERNATIVES = {
    "quantized_po2": "quantized_bits",
    "quantized_relu_po2": "quantized_relu",
    "quantized_ulaw": "quantized_bits",
    "quantized_hswish": "quantized_relu",
    "bernoulli": "stochastic_binary",
    "quantized_relu": "quantized_bits",
    "quantized_sigmoid": "quantized_bits",
    "quantized_tanh": "quantized_bits",
}
REASONS = {
    "quantized_po2": "its levels are not evenly spaced",
    "quantized_relu_po2": "its levels are not evenly spaced",
    "quantized_ulaw": "its levels are not evenly spaced",
    "quantized_hswish": "it falls and rises",
    "bernoulli": "it draws at random at inference, too",
}
"""Why a quantizer is refused, where that is not obvious."""


def make_quantizer(name: str, **parameters: Literal) -> Quantizer:
    """A quantizer of our own: the class's defaults, changed by `parameters`."""
    return Quantizer(name, _DEFAULTS[name] | parameters)


def trainable(quantizer: Quantizer) -> Quantizer:
    """A quantizer of weights after QKeras's `_set_trainable_parameter`: without an alpha it has 'auto_po2'."""
    if quantizer.parameters.get("alpha", 1) is not None:
        return quantizer
    fitted = {"alpha": "auto_po2"} | ({"symmetric": True} if "symmetric" in quantizer.parameters else {})
    return Quantizer(quantizer.name, {**quantizer.parameters, **fitted})


def affine_quantizer(low: int, high: int, scale: Fraction) -> Quantizer:
    """`clip(floor(v / scale + 1/2), low, high) * scale`: the quantizer inserted where a model has none.

    QKeras does not have it: no list of accepted quantizers holds it, so no model file can name it.

    Args:
        low, high: low <= 0 <= high; 256 levels, or more if each fits 16 bits with a sign.
        scale: of one level, > 0.
    """
    return Quantizer("affine", {"low": low, "high": high, "scale": str(scale)})


GRID_ROUNDINGS = ("half_even", "half_up", "half_down", "floor", "ceil", "up", "down")
"""To the nearest level, ties to the even one, away from zero or towards it; down, up; away from zero, towards it."""


def grid_quantizer(
    low: int, high: int, scale: Fraction, rounding: str, *, odd: bool = False, parts: int = 1
) -> Quantizer:
    """`clip(round(v / scale), low, high) * scale`: the quantizer of a format other than Keras's.

    As `affine`, it is in no list of accepted quantizers, so no Keras file can name it.

    Args:
        low, high: of the levels; all fit 16 bits with a sign, or there are up to 256.
        scale: of one level, > 0.
        rounding: one of GRID_ROUNDINGS.
        odd: whether ties go to the odd level instead of the even one.
        parts: v is first rounded to whole numbers of `scale / parts`, ties to the even one; then to levels.
    """
    assert rounding in GRID_ROUNDINGS
    return Quantizer(
        "grid",
        {"low": low, "high": high, "scale": str(scale), "rounding": rounding, "odd": odd, "parts": parts},
    )


def stated_quantizer(low: int, high: int, scale: Fraction) -> Quantizer:
    """TensorFlow Lite's QUANTIZE of real numbers: `clip(round(float32(v) / float32(scale)), low, high) * scale`.

    The quotient is float32, and half is rounded away from 0. No list of accepted quantizers holds it.

    Args:
        low, high: as in `affine_quantizer`.
        scale: of one level, > 0, a float32 number.
    """
    return Quantizer("stated", {"low": low, "high": high, "scale": str(scale)})


def read_quantizer(described: Any, role: Role) -> Quantizer:
    """A quantizer from a model file: a text, or `{"class_name": ..., "config": {...}}`.

    Raises:
        StqError: unreadable, not accepted for the role, or with a parameter that cannot be converted. It says which
            and what to do; the caller adds the layer.
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
        raise StqError(f"{shown(described)} is not a quantizer", next=f"use one of: {', '.join(role.quantizers)}")
    if name not in role.quantizers:
        raise _not_taken(name, role)
    quantizer = Quantizer(name, _check_parameters(name, positional, named))
    _check_together(quantizer, role)
    return quantizer


def _not_taken(name: str, role: Role) -> StqError:
    nearest, reason = _ALTERNATIVES.get(name, ""), REASONS.get(name, "")
    return StqError(
        f"the quantizer {shown(name)} is not supported for {role.what}" + (f": {reason}" if reason else ""),
        next=f"use {nearest} instead" if nearest in role.quantizers else f"use one of: {', '.join(role.quantizers)}",
    )


def _check_parameters(name: str, positional: list[Literal], named: Mapping[str, Any]) -> dict[str, Literal]:
    known = PARAMETERS[name]
    if len(positional) > len(known) or any(key in list(known)[: len(positional)] for key in named):
        raise StqError(f"{name} has too many or repeated parameters", next="check the quantizer's text")
    given = dict(zip(known, positional, strict=False)) | normal_parameters(name, named)
    for key in given:
        if key in LATER_PARAMETERS.get(name, {}):
            raise StqError(
                f"{name}: {key}={shown(given[key])} is not supported",
                cause="the parameter is of QKeras's repository after 0.9.0",
                next=f"leave {key} out, or set it to {LATER_PARAMETERS[name][key]}",
            )
        if key not in known:
            raise StqError(
                f"{name} has the unknown parameter {shown(key)}",
                cause="the model was written by another version of qkeras than 0.9",
                next=f"use only: {', '.join(known)}",
            )
    values: dict[str, Literal] = {}
    for key, (default, accepted) in known.items():
        value = given.get(key, default)
        if not (value is None or isinstance(value, int | float | str)) or not accepted.accepts(value):
            raise StqError(f"{name}: {key}={shown(value)} is not supported", next=f"set {key} to {accepted.shown}")
        values[key] = value
    return values


def _check_together(quantizer: Quantizer, role: Role) -> None:
    """Restrictions that no single parameter shows."""
    if "bits" in quantizer.parameters and not quantizer.powers_of_two:
        most, why = _most_bits(quantizer, role)
        if quantizer.integer("bits") > most:
            raise StqError(
                f"{quantizer.name}: bits={quantizer.integer('bits')} is not supported for {role.what}",
                cause=why, next=f"use up to {most} bits",
            )  # fmt: skip
    if quantizer.name == "quantized_relu":
        _check_upper_bound(quantizer)
        _check_slope(quantizer, role)
    if quantizer.name in ("ternary", "stochastic_ternary"):
        _check_ternary(quantizer, role)


def _most_bits(quantizer: Quantizer, role: Role) -> tuple[int, str]:
    """(the most bits, why no more)."""
    name, slope = quantizer.name, quantizer.parameters.get("negative_slope")
    curved = any(quantizer.parameters.get(key) for key in _CURVES)
    if role is ACTIVATION and (curved or (slope and _is_shallow(quantizer))):
        return _MOST_TABLED_BITS, "more than 256 levels can only be evenly spaced"
    if slope or name == "quantized_tanh" or quantizer.parameters.get("keep_negative"):
        return role.bits, ""
    return role.bits - 1, f"levels are stored in {role.bits} bits, of which one is the sign"


_FINEST_SLOPE = 1 / 128
_MOST_TABLED_BITS = 8
_CURVES = ("use_real_sigmoid", "use_real_tanh", "use_sigmoid")


def _check_ternary(quantizer: Quantizer, role: Role) -> None:
    alpha = quantizer.parameters["alpha"]
    fitted = isinstance(alpha, str) or (alpha is None and role is KERNEL)  # a kernel's scale is fitted without an alpha
    if fitted and quantizer.parameters["threshold"] is not None:
        raise StqError(
            f"{quantizer.name}: with a threshold and a fitted alpha, QKeras itself fails",
            next="leave out the threshold, or set alpha to a number",
        )  # fmt: skip
    if not fitted and quantizer.parameters.get("use_stochastic_rounding"):
        raise StqError(
            f"{quantizer.name}: with use_stochastic_rounding=True and a fixed alpha, QKeras itself fails",
            next="set alpha to 'auto_po2'",
        )  # fmt: skip


def _is_shallow(quantizer: Quantizer) -> bool:
    """Whether a leaky ReLU has less than one level below zero; of more than 8 bits, less than two."""
    bits = quantizer.integer("bits")
    below_zero: float = quantizer.number("negative_slope") * 2.0 ** (bits - 1)
    return below_zero < (1 if bits <= _MOST_TABLED_BITS else 2)


def _check_slope(quantizer: Quantizer, role: Role) -> None:
    """A slope below one level makes the levels finer: `lowering/step_function.py`, `_shallow_relu`."""
    slope, bits = quantizer.number("negative_slope"), quantizer.integer("bits")
    if role is not ACTIVATION or not slope or not _is_shallow(quantizer):
        return
    if quantizer.flag("use_sigmoid"):
        raise StqError(
            f"quantized_relu: with use_sigmoid, negative_slope={slope:g} is below one level",
            next=f"use a negative_slope of {2.0 ** (1 - bits):g} or more",
        )
    if slope < _FINEST_SLOPE:
        raise StqError(
            f"quantized_relu: negative_slope={slope:g} is not supported",
            cause="it would have more than 256 levels", next=f"use {_FINEST_SLOPE:g} or more",
        )  # fmt: skip


def _check_upper_bound(quantizer: Quantizer) -> None:
    bound = quantizer.number("relu_upper_bound")
    bits = quantizer.integer("bits") - (quantizer.number("negative_slope") != 0)
    step = 2.0 ** (quantizer.integer("integer") - bits)
    if bound and not quantizer.flag("is_quantized_clip") and bound < step * (2**bits - 1) and bound % step:
        raise StqError(
            f"quantized_relu: relu_upper_bound={bound:g} is not one of its levels, which are {step:g} apart",
            next=f"use a multiple of {step:g}, or none",
        )
