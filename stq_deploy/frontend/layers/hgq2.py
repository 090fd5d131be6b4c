"""HGQ2's dense layers, convolutions and quantizers, whose bit widths are trained variables, each weight's its own.

The arithmetic is that of the package `quantizers` 1.2 (`fixed_point/_fixed_point_ops.py`) and of HGQ2 0.2
(`hgq/quantizer/internal/fixed_point_quantizer.py`) at inference. A number has k sign bits (0 or 1), i integer and
f fractional bits. Quantized weights are fixed-point numbers, and so are kept to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NoReturn

import numpy as np

from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.formats.keras.arrays import Broadcast, Shapes
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import handler_for, register
from stq_deploy.frontend.quantizers import ACTIVATION, Quantizer, affine_quantizer, make_quantizer
from stq_deploy.frontend.source import AffineNode, FloatArray, QuantizeNode
from stq_deploy.frontend.values import AcceptedValues

PREFIX = "hgq>"
_ROUNDING: dict[str, Callable[[FloatArray], FloatArray]] = {
    "RND": lambda x: np.floor(x + np.float32(0.5)),
    "RND_CONV": np.rint,
    "TRN": np.floor,
}
_CLIPPING = ("SAT", "SAT_SYM")
_QUANTIZERS = AcceptedValues(
    "a fixed-point quantizer (kif or kbi) that rounds by RND, RND_CONV or TRN",
    lambda v: isinstance(v, str) and _parsed(v) is not None,
    "kif RND SAT True",
)
_WITHOUT_EFFECT = ("ebops_factor", "beta0", "parallelization_factor", "enable_ebops", "enable_iq", "enable_oq")


@dataclass(frozen=True)
class _Fixed:
    """A quantizer as configured: variables, rounding, what it does on overflow, and whether its widths are trained."""

    kind: str
    rounding: str
    overflow: str
    trained: bool

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables in the order in which Keras stores them: those that are trained first."""
        if self.overflow == "WRAP":
            return ("f" if self.kind == "kif" else "b", "k", "i", "decay")
        return ("i", "f", "k") if self.kind == "kif" else ("b", "i", "k")


def _parsed(text: str) -> _Fixed | None:
    words = text.split(" ")
    if len(words) != 4 or words[0] not in ("kif", "kbi") or words[1] not in _ROUNDING:
        return None
    if words[2] not in (*_CLIPPING, "WRAP") or words[3] not in ("True", "False"):
        return None
    return _Fixed(words[0], words[1], words[2], words[3] == "True")


@dataclass(frozen=True, eq=False)
class _Widths:
    """Sign, integer and fractional bits, whole numbers in float32, of shapes that broadcast to the values'."""

    k: FloatArray
    i: FloatArray
    f: FloatArray


@register(*(f"{PREFIX}{kind}" for kind in ("QConv1D", "QConv2D", "QDense")))
def import_weighted(reader: LayerReader) -> None:
    """A layer of HGQ2, read from .keras files. Weights may have any widths; a data quantizer has one and saturates."""
    position, shape = reader.only_input()
    inputs = _data_quantizer(reader, "input", "iq", position, shape)
    kernel = _setting(reader, "kernel_quantizer")
    bias = _setting(reader, "bias_quantizer")
    output = _setting(reader, "output_quantizer")
    counted = {"beta": None, "ebops": None} if reader.layer.config.get("enable_ebops") else {}
    own = {"input_quantizer", "kernel_quantizer", "bias_quantizer", "output_quantizer", *_WITHOUT_EFFECT}
    config = {key: value for key, value in reader.layer.config.items() if key not in own}

    def quantized_arrays(shapes: Shapes) -> dict[str, FloatArray]:
        found = reader.arrays({**shapes, **counted})
        for what, place, quantizer in (("kernel", "kq", kernel), ("bias", "bq", bias)):
            if what in found and quantizer is not None:
                widths = _widths(reader, place, quantizer, found[what].shape)
                found[what] = _quantized_weights(found[what], quantizer, widths)
        return {what: found[what] for what, stored in shapes.items() if stored is not None}

    kind = reader.layer.kind.removeprefix(PREFIX)
    layer = replace(reader.layer, kind=kind, config=config)
    within = reader.part(layer, [inputs], quantized_arrays)
    handler_for(reader.name, kind)(within)
    within.finish()
    reader.any_value(*config, *_WITHOUT_EFFECT)
    reader.take_over(within)
    if output is not None:
        _data_quantizer(reader, "output", "oq", *reader.last)


@register(f"{PREFIX}Quantizer")
def import_quantizer(reader: LayerReader) -> None:
    """A layer of HGQ2, read from .keras files. It has one width for all of its input, and saturates."""
    position, shape = reader.only_input()
    _data_quantizer(reader, "quantizer", "", position, shape, key="own_quantizer")


def _setting(reader: LayerReader, key: str) -> _Fixed | None:
    optional = AcceptedValues(
        f"None, or {_QUANTIZERS.shown}", lambda v: v is None or _QUANTIZERS.accepts(v), _QUANTIZERS.example
    )
    text = reader.take(key, optional)
    if text is None:
        return None
    reader.quantizers[key.removesuffix("_quantizer")] = f"hgq {text.rpartition(' ')[0]}"
    return _parsed(text)


def _data_quantizer(
    reader: LayerReader, role: str, place: str, position: int, shape: tuple[int, ...], key: str = ""
) -> tuple[int, tuple[int, ...]]:
    """Add the quantizer of activations that a setting states; (position, shape) of what it gives."""
    setting = key or f"{role}_quantizer"
    fixed = _setting(reader, setting)
    if fixed is None:
        return position, shape
    if fixed.overflow not in _CLIPPING:
        raise reader.error(
            f"{setting}: overflow_mode={fixed.overflow!r} gives small numbers for large ones, and levels here clip",
            "train the data quantizers with overflow_mode='SAT'",
        )
    widths = _widths(reader, place, fixed, (1, *shape))
    k, i, f = (_only(reader, setting, array) for array in (widths.k, widths.i, widths.f))
    if not 0 < k + i + f <= ACTIVATION.bits or k not in (0, 1):
        raise reader.error(
            f"{setting}: it has {k + i + f} bits, {k} of them for the sign", f"train it to 1 to {ACTIVATION.bits} bits"
        )
    quantizer, offset = _levels(fixed, k, i, f)
    reader.quantizers[setting.removesuffix("_quantizer")] = f"fixed<{k},{i},{f}>"
    if offset:
        position = reader.add(AffineNode(reader.name, (position,), shape, (Fraction(1),), (offset,)))
    return reader.add(QuantizeNode(reader.name, (position,), shape, quantizer)), shape


def _levels(fixed: _Fixed, k: int, i: int, f: int) -> tuple[Quantizer, Fraction]:
    """The same quantizer by levels, and what to add to a value before it."""
    symmetric = fixed.overflow == "SAT_SYM"
    if fixed.rounding == "RND_CONV":
        return make_quantizer(
            "quantized_linear", bits=k + i + f, integer=i, symmetric=symmetric, keep_negative=bool(k), alpha=1
        ), Fraction(0)
    step, levels = Fraction(2) ** -f, 2 ** (i + f)
    low = -k * (levels - symmetric)
    return affine_quantizer(low, levels - 1, step), -step / 2 if fixed.rounding == "TRN" else Fraction(0)


def _only(reader: LayerReader, setting: str, widths: FloatArray) -> int:
    if (widths != widths.flat[0]).any():
        raise reader.error(
            f"{setting}: its widths differ from element to element, from {widths.min():g} to {widths.max():g} bits, "
            "and a tensor here has one",
            "train the data quantizers with heterogeneous_axis=()",
        )
    return int(widths.flat[0])


_MOST_WIDTH = 64


def _widths(reader: LayerReader, place: str, fixed: _Fixed, shape: tuple[int, ...]) -> _Widths:
    """The trained widths at `<place>/quantizer`, rounded half to even as HGQ2 rounds them."""
    inner = "/".join(filter(None, (place, "quantizer")))
    shapes = {f"{inner}/{name}": None if name == "decay" else Broadcast(shape) for name in fixed.variables}
    found = {name.rpartition("/")[2]: np.rint(array) for name, array in reader.arrays(shapes).items()}
    if any((np.abs(array) > _MOST_WIDTH).any() for array in found.values()):
        _refuse_widths(reader, found)
    k, i = found["k"], found["i"]
    f = found["f"] if fixed.kind == "kif" else found["b"] - i
    return _Widths(k, np.maximum(i, -f) if fixed.overflow in _CLIPPING else i, f)


def _refuse_widths(reader: LayerReader, found: dict[str, FloatArray]) -> NoReturn:
    largest = max(float(np.abs(array).max(initial=0)) for array in found.values())
    raise reader.error(f"a width of its quantizers is {shown(largest)} bits", "train it again with fewer bits")


def _quantized_weights(values: FloatArray, fixed: _Fixed, widths: _Widths) -> FloatArray:
    """float32, operation by operation as HGQ2 computes them."""
    round_only = fixed.overflow == "WRAP" and fixed.trained and (fixed.kind == "kif" or fixed.rounding == "RND")
    k, i, f = widths.k, widths.i, widths.f
    scale = np.exp2(f)
    if round_only:
        return (_ROUNDING[fixed.rounding](values * scale) / scale).astype(np.float32)
    kept = k + i + f > 0
    if fixed.overflow == "WRAP":
        i = np.maximum(i, -f)
        rounded = _ROUNDING[fixed.rounding](values * scale) / scale
        bias = k * np.exp2(i + k - 1)
        result = np.mod(rounded + bias, np.exp2(i + k)) - bias
    else:
        high = np.exp2(i) - np.exp2(-f)
        low = -(high if fixed.overflow == "SAT_SYM" else np.exp2(i)) * k
        result = _ROUNDING[fixed.rounding](np.clip(values, low, high) * scale) / scale
    result[~np.broadcast_to(kept, result.shape)] = 0
    kept_values: FloatArray = result.astype(np.float32)
    return kept_values
