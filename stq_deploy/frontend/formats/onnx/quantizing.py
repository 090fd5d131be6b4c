"""Quantizers: QONNX's Quant, BipolarQuant and Trunc, and ONNX's QuantizeLinear and DequantizeLinear.

Of constants, the integers are computed as the definitions compute them: float32, operation by operation. Of a tensor, a
quantizer is a step function of the exact value. So the network differs from a float32 execution only where float32
rounds a value across a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.formats.onnx.operators import QONNX_DOMAINS, OnnxHandler, register
from stq_deploy.frontend.formats.onnx.reader import NodeReader
from stq_deploy.frontend.formats.onnx.values import GridNumbers, LevelScale, Numbers, OnnxValue, Tensor
from stq_deploy.frontend.quantizers import Quantizer, grid_quantizer, make_quantizer
from stq_deploy.frontend.source import AffineNode, Node, QuantizeNode

Float32 = npt.NDArray[np.float32]

_MOST_BITS = 32
_ROUNDING = {
    **dict.fromkeys(("ROUND", "HALF_EVEN", "ROUND_HALF_EVEN"), "half_even"),
    "CEIL": "ceil",
    "FLOOR": "floor",
    "UP": "up",
    "DOWN": "down",
    "HALF_UP": "half_up",
    "HALF_DOWN": "half_down",
}
"""QONNX's names -> those of `grid_quantizer`."""
_TYPES = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "uint16": (0, 65535),
    "int16": (-32768, 32767),
    "uint4": (0, 15),
    "int4": (-8, 7),
}
_TYPE_NUMBERS = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint4", 22: "int4"}


def _in_qonnx(
    *names: str, becomes: tuple[type[Node], ...], of_constants: bool = False
) -> Callable[[OnnxHandler], OnnxHandler]:
    """`register` for all names that QONNX's domain has."""

    def add(handler: OnnxHandler) -> OnnxHandler:
        for domain in QONNX_DOMAINS:
            register(*names, becomes=becomes, domain=domain, of_constants=of_constants)(handler)
        return handler

    return add


@_in_qonnx("Quant", "IntQuant", becomes=(QuantizeNode,), of_constants=True)
def read_quant(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Weights have a scale per tensor or per output channel. Tensors have one scale, and levels that fit 16 bits."""
    bits = _bits(reader, 3)
    signed, narrow = bool(reader.whole("signed", 1)), bool(reader.whole("narrow", 0))
    rounding = _rounding(reader, "ROUND")
    reader.attribute("export_debug_name")
    if bits == 1 and signed:
        return (_bipolar(reader, f"Quant(1 bit{_scales(reader, 1)})"),)
    low, high = _limits(bits, signed, narrow)
    what = f"Quant({bits} bits{'' if signed else ', unsigned'}{', narrow' if narrow else ''}{_scales(reader, 1)})"
    if not isinstance(reader.value(0), Tensor):
        return (_quantized_constant(reader, low, high, rounding, what),)
    zero = _zero_point(reader, 2)
    tensor = reader.tensor()
    reader.quantizers["activation"] = what
    quantizer = _grid(reader, low - zero, high - zero, _scale(reader, 1), rounding, zero)
    return (_quantized(reader, tensor, quantizer),)


@_in_qonnx("BipolarQuant", becomes=(QuantizeNode,), of_constants=True)
def read_bipolar_quant(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """-1 below zero and 1 from zero on, times the scale."""
    return (_bipolar(reader, f"BipolarQuant{_scales(reader, 1)}"),)


def _bipolar(reader: NodeReader, what: str) -> OnnxValue:
    value = reader.value(0)
    if not isinstance(value, Tensor):
        signs = np.where(reader.floats(0) >= 0, 1, -1)
        try:
            scale = np.broadcast_to(_scale_array(reader, 1), signs.shape)
        except ValueError:
            raise reader.error("its scale does not fit its input's shape", "export the model again") from None
        return GridNumbers(signs.astype(np.int64), scale, what, bipolar=True)
    reader.quantizers["activation"] = what
    return _quantized(reader, reader.tensor(), make_quantizer("binary", alpha=float(_scale(reader, 1))))


@_in_qonnx("Trunc", becomes=(QuantizeNode, AffineNode))
def read_trunc(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads tensors with zero point 0. Both versions are read; the second states the output's scale."""
    tensor, scale, rounding = reader.tensor(), _scale(reader, 1), _rounding(reader, "FLOOR")
    if _zero_point(reader, 2) != 0:
        raise reader.error("its zero point is not 0", "truncate numbers whose zero point is 0")
    first = _bits(reader, 3)
    if len(reader.values) > 5:  # the second version states the output's scale as well
        out_scale, bits = _scale(reader, 4), _bits(reader, 5)
        signed, narrow = bool(reader.whole("signed", 1)), bool(reader.whole("narrow", 0))
        parts = 2 ** max(round(math.log2(out_scale / scale)), 0)
        low, high = _limits(bits, signed, narrow)
    else:
        bits, out_scale = _bits(reader, 4), scale
        parts = 2 ** max(first - bits, 0)
        # It clips nothing: these are the levels that numbers of `first` bits reach, whichever their sign.
        low = 0 if reader.is_never_negative(tensor) else -(2 ** (bits - 1))
        high = 2**bits - (rounding == "floor")
    if bits > first:
        raise reader.error(f"it truncates {first} bits to {bits}", "truncate to fewer bits")
    reader.quantizers["activation"] = f"Trunc({first} to {bits} bits, scale {float(out_scale):.6g})"
    quantizer = _grid(reader, low, high, scale * parts, rounding, 0, parts)
    found = _quantized(reader, tensor, quantizer)
    factor = out_scale / (scale * parts)
    if factor == 1:
        return (found,)
    node = AffineNode(reader.name, (found.position,), reader.node_shape(found), (factor,), (Fraction(0),))
    return (reader.elementwise(found, node),)


@register("QuantizeLinear", becomes=(QuantizeNode,), of_constants=True)
def read_quantize_linear(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Tensors have one scale and zero point; their type is int4, uint4, int8, uint8, int16 or uint16. Weights may have
    one per channel."""
    reader.at_most(3)
    kind = _quantized_type(reader)
    if kind not in _TYPES:
        raise reader.error(f"it quantizes to {kind}", "quantize to int8 or uint8")
    low, high = _TYPES[kind]
    _check_linear(reader)
    if not isinstance(reader.value(0), Tensor):
        scales, zeros = _along_axis(reader)
        with np.errstate(all="ignore"):
            levels = np.rint(reader.floats(0) / scales.astype(np.float32))
        integers = np.clip(levels.astype(np.float64) + zeros, low, high)
        return (Numbers(_finite(reader, integers).astype(np.int64)),)
    scale, zero = _scale(reader, 1), int(reader.scalar(2, 0.0))
    tensor = reader.tensor()
    reader.quantizers["activation"] = f"QuantizeLinear({kind}, scale {float(scale):.6g}, zero point {zero})"
    found = _quantized(reader, tensor, _grid(reader, low - zero, high - zero, scale, "half_even", 0))
    return (reader.leveled(found, LevelScale(scale, zero, kind)),)


@register("DequantizeLinear", of_constants=True)
def read_dequantize_linear(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Tensors have the scale and zero point of the QuantizeLinear before it. Constants may have one per channel."""
    reader.at_most(3)
    _check_linear(reader)
    value = reader.value(0)
    if not isinstance(value, Tensor):
        scale, zero = _along_axis(reader)
        if isinstance(value, GridNumbers) or value.values.dtype.kind not in "iu":
            raise reader.error("it reads constants that are not integers", "export the model again")
        integers = value.values.astype(np.int64) - zero
        kind = str(value.values.dtype)
        what = f"DequantizeLinear({kind}{_scales(reader, 1)})"
        return (GridNumbers(integers, np.broadcast_to(scale, integers.shape), what),)
    found, zero_point = reader.moved_tensor(), int(reader.scalar(2, 0.0))
    if found.levels is None:
        raise reader.error("it reads real numbers", "let QuantizeLinear stand before it")
    if (found.levels.scale, found.levels.zero_point) != (_scale(reader, 1), zero_point):
        raise reader.error(
            "its scale or zero point is not that of the QuantizeLinear before it", "use the same for both"
        )
    return (reader.leveled(found, None),)


def _check_linear(reader: NodeReader) -> None:
    reader.fixed("block_size", 0, "use one scale per tensor or per channel")
    reader.fixed("saturate", 1, "export with saturate=1")
    reader.fixed("precision", 0, "export with precision=0")
    reader.attribute("output_dtype")


def _quantized_type(reader: NodeReader) -> str:
    if reader.has(2):
        return reader.type_of(2)
    number = reader.whole("output_dtype", 2)
    return _TYPE_NUMBERS.get(number, f"type {number}")


def _along_axis(reader: NodeReader) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(scale, zero point) of a constant, broadcastable to it: one each, or one for each index of `axis`."""
    shape = reader.value(0).shape
    scale = _scale_array(reader, 1)
    zero = reader.reals(2).astype(np.int64) if reader.has(2) else np.zeros((), np.int64)
    axis = reader.whole("axis", 1)
    if scale.size == 1 and zero.size == 1:
        return scale.reshape(()), zero.reshape(())
    axis += len(shape) if axis < 0 else 0
    if scale.ndim != 1 or not 0 <= axis < len(shape) or scale.size != shape[axis] or zero.size not in (1, scale.size):
        raise reader.error(
            f"its scale has the shape {scale.shape}, for constants of shape {shape} and axis={axis}",
            "use one scale per tensor or per channel",
        )
    along = [1] * len(shape)
    along[axis] = -1
    return scale.reshape(along), zero.reshape(along if zero.size > 1 else [1] * len(shape))


def _quantized_constant(reader: NodeReader, low: int, high: int, rounding: str, what: str) -> GridNumbers:
    """Weights through Quant: float32, in its order of operations."""
    values, scale = reader.floats(0), _scale_array(reader, 1)
    zero = reader.reals(2)
    try:
        with np.errstate(all="ignore"):
            scaled = values / scale.astype(np.float32) + zero.astype(np.float32)
            levels = _ROUND[rounding](np.clip(scaled, np.float32(low), np.float32(high)))
        integers = _finite(reader, levels.astype(np.float64) - zero)
        scales = np.broadcast_to(scale, integers.shape)
    except ValueError:
        raise reader.error("its scale or zero point does not fit its input's shape", "export the model again") from None
    if integers.shape != values.shape or (integers != np.rint(integers)).any():
        raise reader.error("its zero point is not a whole number, or does not fit its input's shape", "use 0")
    return GridNumbers(integers.astype(np.int64), scales, what)


_ROUND: dict[str, Callable[[Float32], Float32]] = {
    "half_even": np.rint,
    "ceil": np.ceil,
    "floor": np.floor,
    "up": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "down": np.trunc,
    "half_up": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "half_down": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}


def _finite(reader: NodeReader, integers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not np.isfinite(integers).all() or np.abs(integers).max(initial=0) >= 2**_MOST_BITS:
        raise reader.error("it gives NaN or infinity", "train again", "its scale is far too small")
    return integers


def _bits(reader: NodeReader, i: int) -> int:
    bits = reader.scalar(i)
    if bits != int(bits) or not 1 <= bits <= _MOST_BITS:
        raise reader.error(f"its bit width is {bits:g}", "use a whole number of bits, from 1 to 16")
    return int(bits)


def _limits(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """(lowest, highest) integer, as qonnx defines them."""
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def _rounding(reader: NodeReader, default: str) -> str:
    mode = reader.text("rounding_mode", default).upper()
    if mode not in _ROUNDING:
        raise reader.error(f"rounding_mode={mode[:40]!r} is not supported", f"use one of: {', '.join(_ROUNDING)}")
    return _ROUNDING[mode]


def _zero_point(reader: NodeReader, i: int) -> int:
    zero = reader.scalar(i)
    if zero != int(zero) or abs(zero) >= 2**_MOST_BITS:
        raise reader.error(f"its zero point is {zero:g}", "use a whole number")
    return int(zero)


def _scale(reader: NodeReader, i: int) -> Fraction:
    """A tensor's only scale."""
    reader.scalar(i)
    return Fraction(float(_scale_array(reader, i).reshape(())))


def _scale_array(reader: NodeReader, i: int) -> npt.NDArray[np.float64]:
    """A scale per tensor or channel, each a float32 above 0."""
    found = reader.floats(i).astype(np.float64)
    if (found <= 0).any():
        raise reader.error("a scale is not above 0", "use scales above 0")
    return found


def _scales(reader: NodeReader, i: int) -> str:
    """The scale for people: its value, or how many there are."""
    scale = reader.reals(i)
    return f", scale {scale.reshape(-1)[0]:.6g}" if scale.size == 1 else f", {scale.size} scales"


def _grid(
    reader: NodeReader, low: int, high: int, scale: Fraction, rounding: str, zero: int, parts: int = 1
) -> Quantizer:
    if not -(2**15) <= low <= high < 2**15 and high - low > 255:
        raise reader.error(
            f"its levels from {low} to {high} do not fit 16 bits, of which one is the sign", "use fewer bits"
        )
    if low > 0 or high < 0:
        raise reader.error(f"real 0 is not among its levels, from {low} to {high}", "use a zero point within the range")
    if rounding not in ("half_even", "floor", "ceil") and zero:
        raise reader.error(f"rounding {rounding} with a zero point is not supported", "use a zero point of 0")
    return grid_quantizer(low, high, scale, rounding, odd=bool(zero % 2), parts=parts)


def _quantized(reader: NodeReader, tensor: Tensor, quantizer: Quantizer) -> Tensor:
    return reader.elementwise(
        tensor, QuantizeNode(reader.name, (tensor.position,), reader.node_shape(tensor), quantizer)
    )
