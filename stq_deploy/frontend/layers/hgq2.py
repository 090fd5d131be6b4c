"""HGQ2's dense layers, convolutions and quantizers, whose bit widths are trained variables, each weight's its own.

The arithmetic is that of the package `quantizers` 1.2 (`fixed_point/_fixed_point_ops.py`) and of HGQ2 0.2
(`hgq/quantizer/internal/fixed_point_quantizer.py`) at inference. A number has k sign bits (0 or 1), i integer and
f fractional bits. Quantized weights are fixed-point numbers, and so are kept to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NoReturn

import numpy as np

from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.formats.keras.arrays import Broadcast, Shapes
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import handler_for, register
from stq_deploy.frontend.quantizers import ACTIVATION, Quantizer, affine_quantizer, grid_quantizer
from stq_deploy.frontend.source import AffineNode, ClipNode, FloatArray, QuantizeNode, ReshapeNode, WrapNode
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
    "kif RND SAT True True",
)
_WITHOUT_EFFECT = ("ebops_factor", "beta0", "parallelization_factor", "enable_ebops", "enable_iq", "enable_oq")


@dataclass(frozen=True)
class _Fixed:
    """A quantizer as configured: variables, rounding, what it does on overflow, whether its widths are trained.

    `of_weights` is HGQ2's `is_weight`, which its quantizers of biases lack: they wrap where those of kernels do not.
    """

    kind: str
    rounding: str
    overflow: str
    trained: bool
    of_weights: bool

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables in the order in which Keras stores them: those that are trained first."""
        if self.overflow == "WRAP":
            return ("f" if self.kind == "kif" else "b", "k", "i", "decay")
        return ("i", "f", "k") if self.kind == "kif" else ("b", "i", "k")


def _parsed(text: str) -> _Fixed | None:
    words = text.split(" ")
    if len(words) != 5 or words[0] not in ("kif", "kbi") or words[1] not in _ROUNDING:
        return None
    if words[2] not in (*_CLIPPING, "WRAP") or {*words[3:]} - {"True", "False"}:
        return None
    return _Fixed(words[0], words[1], words[2], words[3] == "True", words[4] == "True")


@dataclass(frozen=True, eq=False)
class _Widths:
    """Sign, integer and fractional bits, whole numbers in float32, of shapes that broadcast to the values'."""

    k: FloatArray
    i: FloatArray
    f: FloatArray


@register(*(f"{PREFIX}{kind}" for kind in ("QConv1D", "QConv2D", "QDense")))
def import_weighted(reader: LayerReader) -> None:
    """A layer of HGQ2, read from .keras files. Weights may have any widths; activations have them by channel."""
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
    """A layer of HGQ2, read from .keras files. Its widths may differ by channel."""
    position, shape = reader.only_input()
    _data_quantizer(reader, "quantizer", "", position, shape, key="own_quantizer")


def _setting(reader: LayerReader, key: str) -> _Fixed | None:
    optional = AcceptedValues(
        f"None, or {_QUANTIZERS.shown}", lambda v: v is None or _QUANTIZERS.accepts(v), _QUANTIZERS.example
    )
    text = reader.take(key, optional)
    if text is None:
        return None
    reader.quantizers[key.removesuffix("_quantizer")] = " ".join(["hgq", *text.split(" ")[:3]])
    return _parsed(text)


def _data_quantizer(
    reader: LayerReader, role: str, place: str, position: int, shape: tuple[int, ...], key: str = ""
) -> tuple[int, tuple[int, ...]]:
    """Add the quantizer of activations that a setting states; (position, shape) of what it gives."""
    setting = key or f"{role}_quantizer"
    fixed = _setting(reader, setting)
    if fixed is None:
        return position, shape
    widths = _widths(reader, place, fixed, (1, *shape))
    of_input = position == 0
    by_channel = _by_channel(reader, setting, widths, shape, of_input)
    reader.quantizers[setting.removesuffix("_quantizer")] = by_channel.shown(fixed.overflow == "WRAP")
    flat = (math.prod(shape),)
    moved = of_input and len(by_channel.f) == flat[0] > 1 and shape != flat
    if moved:
        position = reader.add(ReshapeNode(reader.name, (position,), flat))
    position = _add_quantizer(
        reader, setting, fixed, by_channel, position, flat if moved else shape, wraps=not of_input
    )
    if moved:
        position = reader.add(ReshapeNode(reader.name, (position,), shape))
    return position, shape


@dataclass(frozen=True)
class _ChannelWidths:
    """Sign, integer and fractional bits of each channel, or one entry where all agree; 0 bits give the number 0."""

    k: tuple[int, ...]
    i: tuple[int, ...]
    f: tuple[int, ...]

    @property
    def live(self) -> tuple[bool, ...]:
        return tuple(k + i + f > 0 for k, i, f in zip(self.k, self.i, self.f, strict=True))

    def shown(self, wraps: bool) -> str:
        """For `inspect`."""
        bits = sorted({max(k + i + f, 0) for k, i, f in zip(self.k, self.i, self.f, strict=True)})
        if len(self.f) == 1:
            text = f"fixed<{self.k[0]},{self.i[0]},{self.f[0]}>"
        else:
            text = f"fixed, {bits[0]} to {bits[-1]} bits by channel"
        return text + (", wraps" if wraps else "")


def _by_channel(
    reader: LayerReader, setting: str, widths: _Widths, shape: tuple[int, ...], of_input: bool
) -> _ChannelWidths:
    """The widths of each channel; of each element, where it is the model's input or has one axis."""
    k, i, f = (np.broadcast_to(array, (1, *shape)).astype(np.int64) for array in (widths.k, widths.i, widths.f))
    if any(not np.isin(k, (0, 1)).all() for k in (k,)):
        raise reader.error(f"{setting}: it has {int(k.max())} bits for the sign", "train it with k0=True or False")
    dead = k + i + f <= 0
    k, i, f = (np.where(dead, 0, array) for array in (k, i, f))
    rows = [array.reshape(-1, shape[-1]) for array in (k, i, f)]
    if all((row == row[0]).all() for row in rows):
        numbers = [row[0] for row in rows]
    elif of_input:
        numbers = [array.ravel() for array in (k, i, f)]
    else:
        raise reader.error(
            f"{setting}: its widths differ from pixel to pixel, from {int((k + i + f).min())} to "
            f"{int((k + i + f).max())} bits, and an image here has them by channel",
            "train the data quantizers with heterogeneous_axis=(-1,), or (), and homogeneous_axis=None",
        )
    if all((array == array[0]).all() for array in numbers):
        numbers = [array[:1] for array in numbers]
    return _ChannelWidths(*(tuple(map(int, array)) for array in numbers))


def _add_quantizer(
    reader: LayerReader,
    setting: str,
    fixed: _Fixed,
    widths: _ChannelWidths,
    position: int,
    shape: tuple[int, ...],
    *,
    wraps: bool,
) -> int:
    """Add the nodes of a quantizer; the position of the last.

    Widths that differ become one: each channel is scaled by a power of two, so that all have the finest step, and
    scaled back behind the quantizer, exactly. The model's input saturates where HGQ2 wraps, and `evaluate` counts such
    samples.
    """
    if not any(widths.live):
        return reader.add(AffineNode(reader.name, (position,), shape, (Fraction(0),), (Fraction(0),)))
    finest = max(f for f, live in zip(widths.f, widths.live, strict=True) if live)
    step = Fraction(2) ** -finest
    back = tuple(Fraction(2) ** (finest - f) if live else Fraction(0)
                 for f, live in zip(widths.f, widths.live, strict=True))  # fmt: skip
    counts = tuple(2 ** (k + i + f) if live else 1
                   for k, i, f, live in zip(widths.k, widths.i, widths.f, widths.live, strict=True))  # fmt: skip
    symmetric = fixed.overflow == "SAT_SYM"
    lows = tuple(k * (symmetric - count // 2) if live else 0
                 for k, count, live in zip(widths.k, counts, widths.live, strict=True))  # fmt: skip
    highs = tuple(count - 1 + (-count // 2 if k else 0) for k, count in zip(widths.k, counts, strict=True))
    _check_bits(reader, setting, widths, finest)
    alike = len(widths.f) == 1
    if not alike:
        forth = tuple(1 / factor if factor else Fraction(0) for factor in back)
        position = _add_line(reader, position, shape, forth)
    if wraps and fixed.overflow == "WRAP":
        node = WrapNode(reader.name, (position,), shape, step, lows, counts, _WRAPPED[fixed.rounding])
        position = reader.add(node)
    else:
        if not alike and len({*zip(lows, highs, strict=True)}) > 1:
            position = _add_clip(reader, position, shape, lows, highs, step)
        quantizer, offset = _levels(fixed, min(lows), max(highs), step)
        if offset:
            position = reader.add(AffineNode(reader.name, (position,), shape, (Fraction(1),), (offset,)))
        position = reader.add(QuantizeNode(reader.name, (position,), shape, quantizer))
    if alike:
        return position
    position = _add_line(reader, position, shape, back)
    least = min(low * factor for low, factor in zip(lows, back, strict=True))
    most = max(high * factor for high, factor in zip(highs, back, strict=True))
    return reader.add(QuantizeNode(reader.name, (position,), shape, affine_quantizer(int(least), int(most), step)))


def _check_bits(reader: LayerReader, setting: str, widths: _ChannelWidths, finest: int) -> None:
    """Refuse widths whose common levels exceed those of activations."""
    both = [(k, i) for k, i, live in zip(widths.k, widths.i, widths.live, strict=True) if live]
    bits = max(k for k, _ in both) + max(i for _, i in both) + finest
    if bits > ACTIVATION.bits:
        signs = f", {max(k for k, _ in both)} of them for the sign"
        common = " for all channels together" if len(widths.f) > 1 else ""
        raise reader.error(f"{setting}: it has {bits} bits{common}{signs}", f"train it to 1 to {ACTIVATION.bits} bits")


def _add_line(reader: LayerReader, position: int, shape: tuple[int, ...], factors: tuple[Fraction, ...]) -> int:
    offsets = (Fraction(0),) * len(factors)
    return reader.add(AffineNode(reader.name, (position,), shape, factors, offsets))


def _add_clip(
    reader: LayerReader, position: int, shape: tuple[int, ...], lows: tuple[int, ...], highs: tuple[int, ...],
    step: Fraction,
) -> int:  # fmt: skip
    """Clip each channel to its own levels: mapped to [0, 1], clipped, and mapped back."""
    spans = tuple((high - low or 1) * step for low, high in zip(lows, highs, strict=True))
    into = tuple(-low * step / span for low, span in zip(lows, spans, strict=True))
    position = reader.add(AffineNode(reader.name, (position,), shape, tuple(1 / span for span in spans), into))
    position = reader.add(ClipNode(reader.name, (position,), shape, Fraction(0), Fraction(1)))
    begins = tuple(low * step for low in lows)
    return reader.add(AffineNode(reader.name, (position,), shape, spans, begins))


_WRAPPED = {"RND": "half_up", "RND_CONV": "half_even", "TRN": "floor"}


def _levels(fixed: _Fixed, low: int, high: int, step: Fraction) -> tuple[Quantizer, Fraction]:
    """The saturating quantizer of these levels, and what to add to a value before it."""
    if fixed.rounding == "RND_CONV":
        return grid_quantizer(low, high, step, "half_even"), Fraction(0)
    return affine_quantizer(low, high, step), -step / 2 if fixed.rounding == "TRN" else Fraction(0)


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
    trained = fixed.overflow == "WRAP" and fixed.trained and fixed.of_weights
    round_only = trained and (fixed.kind == "kif" or fixed.rounding == "RND")
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
