"""Operators that work element by element: sums, products, activations, normalization."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.formats.onnx.operators import register
from stq_deploy.frontend.formats.onnx.reader import NodeReader, Reals, shape_text
from stq_deploy.frontend.formats.onnx.values import (
    IMAGE_RANK,
    ROW_RANK,
    LevelScale,
    Numbers,
    OnnxValue,
    Tensor,
    is_stored_so,
    stored_shape,
)
from stq_deploy.frontend.quantizers import grid_quantizer
from stq_deploy.frontend.source import (
    AddNode,
    AffineNode,
    AverageNode,
    BatchNormNode,
    ClipNode,
    CombineNode,
    MaximumNode,
    MinimumNode,
    MultiplyNode,
    PassNode,
    QuantizeNode,
    SoftmaxNode,
    SubtractNode,
    UpsampleNode,
)

_ZERO, _ONE = Fraction(0), Fraction(1)
_COMBINE: dict[str, type[CombineNode]] = {
    "Add": AddNode,
    "Sum": AddNode,
    "Sub": SubtractNode,
    "Mul": MultiplyNode,
    "Max": MaximumNode,
    "Min": MinimumNode,
    "Mean": AverageNode,
}
_ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}


@register("Add", becomes=(AffineNode, AddNode), of_constants=True)
@register("Sub", becomes=(AffineNode, SubtractNode), of_constants=True)
@register("Mul", becomes=(AffineNode, MultiplyNode), of_constants=True)
@register("Div", becomes=(AffineNode,), of_constants=True)
def read_arithmetic(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Two tensors; or a tensor and a constant that has one number, or one a channel. No division by a tensor."""
    left, right = reader.value(0), reader.value(1)
    if not isinstance(left, Tensor) and not isinstance(right, Tensor):
        return (_folded(reader, left, right),)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return (_combined(reader),)
    op, swapped = reader.node.op, isinstance(right, Tensor)
    if op == "Div" and swapped:
        raise reader.error("it divides by a tensor", "multiply by a constant instead")
    tensor = reader.tensor(1 if swapped else 0)
    constants = reader.reals(0 if swapped else 1)
    if op == "Div" and (constants == 0).any():
        raise reader.error("it divides by 0", "leave the channel out")

    def line(c: Fraction) -> tuple[Fraction, Fraction]:
        if op == "Add":
            return _ONE, c
        if op == "Sub":
            return (-_ONE, c) if swapped else (_ONE, -c)
        return (c if op == "Mul" else 1 / c), _ZERO

    at, per_channel = by_channel(reader, tensor, constants)
    lines = [line(Fraction(c)) for c in per_channel.tolist()]
    factor, offset = tuple(f for f, _ in lines), tuple(o for _, o in lines)
    node = AffineNode(reader.name, (at.position,), reader.node_shape(at), factor, offset)
    return (reader.elementwise(at, node),)


@register("Pow", of_constants=True)
def read_power(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads constants, as exporters compute scales with them."""
    if any(isinstance(reader.value(i), Tensor) for i in (0, 1)):
        raise reader.error("it raises a tensor to a power", "multiply the tensor by itself")
    return (_folded(reader, reader.value(0), reader.value(1)),)


@register("Neg", becomes=(AffineNode,))
def read_negation(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads a tensor."""
    tensor = reader.tensor()
    node = AffineNode(reader.name, (tensor.position,), reader.node_shape(tensor), (-_ONE,), (_ZERO,))
    return (reader.elementwise(tensor, node),)


@register("Sum", becomes=(AddNode,))
@register("Mean", becomes=(AverageNode,))
def read_sum(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads two or more tensors of one shape."""
    return (_combined(reader),)


@register("Max", becomes=(MaximumNode, ClipNode))
@register("Min", becomes=(MinimumNode, ClipNode))
def read_extreme(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads tensors; or a tensor and a constant that has one number."""
    if len(reader.values) == 2 and not all(isinstance(value, Tensor) for value in reader.values):
        swapped = isinstance(reader.value(1), Tensor)
        tensor, bound = reader.tensor(1 if swapped else 0), Fraction(reader.scalar(0 if swapped else 1))
        return (
            clipped(reader, tensor, bound, None) if reader.node.op == "Max" else clipped(reader, tensor, None, bound),
        )
    return (_combined(reader),)


def _folded(reader: NodeReader, left: Any, right: Any) -> Numbers:
    """Arithmetic of constants."""
    a, b = left.values, right.values
    try:
        with np.errstate(all="ignore"):
            if reader.node.op == "Div" and a.dtype.kind in "iu":
                return Numbers(np.asarray(a // b))
            result = _ARITHMETIC[reader.node.op](a, b)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise reader.error("its constants do not fit together", "export the model again") from error
    return Numbers(np.asarray(result, a.dtype if a.dtype == b.dtype else np.float64))


def by_channel(reader: NodeReader, tensor: Tensor, constants: Reals) -> tuple[Tensor, Reals]:
    """The tensor, and a constant's number for each of its stored channels, or one number for all.

    Raises:
        StqError: the constant does not fit the tensor's shape, or varies within a channel.
    """
    if constants.size == 1:
        return tensor, constants.reshape(1)
    try:
        full = np.broadcast_to(constants, tensor.shape)
    except ValueError:
        raise reader.error(
            f"a constant of shape {constants.shape} does not fit the tensor's {shape_text(tensor.shape)}",
            "give the constant one number, or one a channel",
        ) from None
    stored = np.empty(tensor.index.size, np.float64)
    stored[tensor.index.ravel()] = full.ravel()
    if (stored == stored[0]).all():
        return tensor, stored[:1]
    rows = stored.reshape(-1, reader.node_shape(tensor)[-1])
    if (rows == rows[0]).all():
        return tensor, rows[0]
    if len(tensor.shape) == 2:
        return reader.flat(tensor), stored
    if is_stored_so(tensor):
        seen = reader.stored(tensor)
        rows = stored.reshape(-1, stored_shape(tensor.shape)[-1])
        if (rows == rows[0]).all():
            return seen, rows[0]
    raise reader.error(
        "its constant differs from pixel to pixel",
        "give the constant one number, or one a channel; or flatten the image first",
    )


def _combined(reader: NodeReader) -> Tensor:
    tensors = [reader.tensor(i) for i in range(len(reader.values))]
    if len(tensors) < 2:
        raise reader.error("it has a single input", "leave the node out")
    shapes = [tensor.shape for tensor in tensors]
    if len(set(shapes)) > 1:
        tensors = _broadcast(reader, tensors)
    elif any(not np.array_equal(tensor.index, tensors[0].index) for tensor in tensors):
        raise reader.error(
            "it joins tensors of which one is transposed, which would have to be moved while the network runs",
            "transpose both, or none",
        )
    first = tensors[0]
    shape = reader.node_shape(first)
    tensors = [first, *(_in_shape(reader, tensor, shape) for tensor in tensors[1:])]
    positions = tuple(tensor.position for tensor in tensors)
    return reader.elementwise(first, _COMBINE[reader.node.op](reader.name, positions, shape))


def _in_shape(reader: NodeReader, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor from a node of this shape, with the same elements in the same order."""
    if reader.node_shape(tensor) == shape:
        return tensor
    flat = reader.flat(tensor)
    if len(shape) == 1:
        return flat
    return reader.reshaped(flat, shape)


def _broadcast(reader: NodeReader, tensors: list[Tensor]) -> list[Tensor]:
    """Images of height and width 1, such as a squeeze-and-excitation gate, repeated over the others."""
    if any(len(tensor.shape) not in (IMAGE_RANK, ROW_RANK) for tensor in tensors):
        raise _unequal(reader, tensors)
    images = [reader.image(i) for i in range(len(tensors))]
    target = tuple(max(size) for size in zip(*(shape for _, shape in images), strict=True))
    result = []
    for tensor, shape in images:
        if shape == target:
            result.append(tensor)
            continue
        if shape != (1, 1, target[2]):
            raise _unequal(reader, tensors)
        node = UpsampleNode(reader.name, (tensor.position,), target, (target[0], target[1]))
        rank = len(tensors[0].shape)
        onnx_shape = (1, target[2], *target[:2]) if rank == IMAGE_RANK else (1, target[2], target[1])
        result.append(reader.image_result(reader.add(node), onnx_shape))
    return result


def _unequal(reader: NodeReader, tensors: list[Tensor]) -> Exception:
    shapes = " and ".join(shape_text(tensor.shape) for tensor in tensors)
    return reader.error(
        f"the shapes {shapes} do not fit together", "let them be equal, or one have the height and width 1"
    )


# Activations


def clipped(reader: NodeReader, tensor: Tensor, low: Fraction | None, high: Fraction | None) -> Tensor:
    """The tensor clipped to these bounds; where one is None, its side stays open."""
    return reader.elementwise(tensor, ClipNode(reader.name, (tensor.position,), reader.node_shape(tensor), low, high))


@register("Relu", becomes=(ClipNode,))
def read_relu(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads a tensor."""
    return (clipped(reader, reader.tensor(), _ZERO, None),)


@register("Clip", becomes=(ClipNode, QuantizeNode), of_constants=True)
def read_clip(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """The bounds are constants. Behind QuantizeLinear, it leaves the quantizer fewer levels."""
    reader.at_most(3)
    value = reader.value(0)
    if not isinstance(value, Tensor):
        return (Numbers(np.clip(value.values, *_integer_bounds(reader))),)
    if value.levels is not None:
        return (_fewer_levels(reader, value, value.levels),)
    bounds: list[Fraction | None] = []
    for i, name in ((1, "min"), (2, "max")):
        bound: Fraction | None = None
        if reader.has(i):
            bound = Fraction(_finite_bound(reader.numbers(i)))
        elif name in reader.node.attributes:
            bound = reader.number(name, 0.0)
        bounds.append(None if bound is not None and abs(bound) >= _UNBOUNDED else bound)
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise reader.error("its bounds are the wrong way round", "let min be below max")
    if low is None and high is None:
        return _passed(reader, "a clip without bounds")
    return (clipped(reader, reader.tensor(), low, high),)


def _integer_bounds(reader: NodeReader) -> tuple[int, int]:
    """The bounds of a clip of integers."""
    widest = -(2**31), 2**31
    low, high = (int(reader.scalar(i, each)) for i, each in zip((1, 2), widest, strict=True))
    if low > high:
        raise reader.error("its bounds are the wrong way round", "let min be below max")
    return low, high


def _fewer_levels(reader: NodeReader, tensor: Tensor, levels: LevelScale) -> Tensor:
    """The quantizer before a clip of its integers, with fewer levels: Brevitas writes fewer bits than 8 so."""
    node = reader.node_at(tensor.position)
    if not isinstance(node, QuantizeNode) or node.quantizer.name != "grid":
        raise reader.error("it clips integers that no QuantizeLinear has just written", "clip behind QuantizeLinear")
    low, high = (bound - levels.zero_point for bound in _integer_bounds(reader))
    was = node.quantizer
    quantizer = grid_quantizer(
        max(low, was.integer("low")), min(high, was.integer("high")), levels.scale, str(was.parameters["rounding"])
    )
    if quantizer.integer("low") > 0 or quantizer.integer("high") < 0:
        raise reader.error("real 0 is not among its levels", "use bounds around the zero point")
    reader.quantizers["activation"] = f"levels {quantizer.integer('low')} to {quantizer.integer('high')}"
    at = reader.add(QuantizeNode(reader.name, node.inputs, node.shape, quantizer))
    return replace(tensor, position=at)


_UNBOUNDED = Fraction(float(np.finfo(np.float32).max))


def _finite_bound(values: npt.NDArray[Any]) -> float:
    """A bound, of which an infinity is the largest number."""
    limit = float(np.finfo(np.float32).max)
    return float(np.clip(np.nan_to_num(values.astype(np.float64).reshape(-1)[0], nan=limit), -limit, limit))


@register("Softmax", becomes=(SoftmaxNode,))
def read_softmax(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Over the features, or over the channels of an image."""
    tensor = reader.tensor()
    rank = len(tensor.shape)
    axis = reader.whole("axis", -1 if reader.opset >= 13 else 1)
    axis += rank if axis < 0 else 0
    if axis != 1 or (rank > 2 and reader.opset < 13 and tensor.index.size != tensor.shape[1]):
        raise reader.error(f"axis={axis} of {rank} is not supported", "use the axis of the classes, axis=1")
    stored = reader.stored(tensor) if rank > 2 else reader.flat(tensor)
    node = SoftmaxNode(reader.name, (stored.position,), reader.node_shape(stored))
    return (reader.elementwise(stored, node),)


@register("BatchNormalization", becomes=(BatchNormNode,))
def read_batch_normalization(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """In evaluation mode."""
    tensor = reader.tensor()
    reader.fixed("training_mode", 0, "export the model in evaluation mode: model.eval()")
    reader.attribute("momentum")
    reader.fixed("spatial", 1, "normalize by channel")
    epsilon = float(reader.number("epsilon", 1e-5))
    at = reader.stored(tensor) if len(tensor.shape) > 2 else reader.flat(tensor)
    channels = reader.node_shape(at)[-1]
    gamma, beta, mean, variance = (_per_channel(reader, i, channels) for i in range(1, 5))
    if (variance + np.float32(epsilon) <= 0).any():
        raise reader.error("a variance plus epsilon is not above 0", "train again")
    if len(tensor.shape) == 2:
        order = tensor.index.ravel()
        gamma, beta, mean, variance = (_reordered(each, order) for each in (gamma, beta, mean, variance))
    reader.parameters = 4 * channels
    node = BatchNormNode(reader.name, (at.position,), reader.node_shape(at), gamma, beta, mean, variance, epsilon)
    return (reader.elementwise(at, node),)


def _per_channel(reader: NodeReader, i: int, channels: int) -> npt.NDArray[np.float32]:
    values = reader.floats(i)
    if values.shape != (channels,):
        raise reader.error(f"its input {i} has shape {values.shape} instead of ({channels},)", "export the model again")
    return values


def _reordered(values: npt.NDArray[np.float32], order: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Numbers by ONNX's order -> by the order in which the features are stored."""
    result = np.empty_like(values)
    result[order] = values
    return result


@register("Identity", "Dropout", "Cast", becomes=(PassNode,), of_constants=True)
def read_identity(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Cast: between floating-point types; of constants, to any number."""
    value = reader.value(0)
    if reader.node.op == "Cast":
        to = reader.whole("to", 0)
        reader.attribute("saturate")
        reader.attribute("round_mode")
        if not isinstance(value, Tensor):
            return (_cast(reader, value.values, to),)
        if to != _FLOAT:
            raise reader.error("it casts a tensor to another type than float32", "export the model in float32")
    if reader.node.op == "Dropout":
        reader.attribute("seed")
        reader.attribute("ratio")
        if reader.has(2) and bool(reader.numbers(2).any()):
            raise reader.error("it is in training mode", "export the model in evaluation mode: model.eval()")
    if not isinstance(value, Tensor):
        return (value,)
    return _passed(reader, f"{reader.node.op} does nothing at inference")


_FLOAT = 1
_CASTS = {1: np.float32, 2: np.uint8, 3: np.int8, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}


def _cast(reader: NodeReader, values: npt.NDArray[Any], to: int) -> Numbers:
    if to not in _CASTS:
        raise reader.error(f"it casts to the type {to}", "export the model in float32")
    with np.errstate(all="ignore"):
        return Numbers(values.astype(_CASTS[to]))


def _passed(reader: NodeReader, reason: str) -> tuple[OnnxValue, ...]:
    tensor = reader.moved_tensor()
    at = reader.add(PassNode(reader.name, (tensor.position,), reader.node_shape(tensor), reason))
    return (replace(tensor, position=at),)
