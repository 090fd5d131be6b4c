"""Operators that move or rename elements: at import wherever that can be, and else by whole pixels and channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.formats.onnx.operators import register
from stq_deploy.frontend.formats.onnx.reader import NodeReader, shape_text
from stq_deploy.frontend.formats.onnx.values import (
    IMAGE_RANK,
    ROW_RANK,
    GridNumbers,
    Numbers,
    OnnxValue,
    Tensor,
    is_stored_so,
)
from stq_deploy.frontend.source import ConcatenateNode, CropNode, PadNode, ReshapeNode, UpsampleNode

_MOVED = npt.NDArray[Any]


def _rearranged(reader: NodeReader, change: Any) -> tuple[OnnxValue, ...]:
    """The first input after `change`, a function of an array that only moves its elements."""
    value = reader.value(0)
    try:
        if isinstance(value, Numbers):
            return (Numbers(change(value.values)),)
        if isinstance(value, GridNumbers):
            return (value.moved(change(value.integers), change(value.scale)),)
        index = change(value.index)
    except (ValueError, IndexError, TypeError) as error:
        raise reader.error(
            f"it does not fit a tensor of shape {shape_text(value.shape)}",
            "export the model with one input shape, which only leaves the batch axis open",
        ) from error
    if index.ndim < 1 or index.shape[0] != 1:
        raise reader.error(
            f"its result has the shape {index.shape}, whose first axis is not the batch's",
            "keep the batch axis first",
        )
    return (value.under(index),)


@register("Transpose", becomes=(ReshapeNode,), of_constants=True)
def read_transpose(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Resolved at import: weights are put into the order in which tensors are stored. The batch axis stays first."""
    order = reader.wholes("perm")
    return _rearranged(reader, lambda array: np.transpose(array, order))


@register("Reshape", becomes=(ReshapeNode,), of_constants=True)
def read_reshape(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """To a constant shape, resolved at import."""
    shape = reader.wholes("shape") if "shape" in reader.node.attributes else reader.integers(1)
    assert shape is not None
    if reader.whole("allowzero", 0) and 0 in shape:
        raise reader.error("its result would be empty", "export the model again")

    def change(array: _MOVED) -> _MOVED:
        target = [array.shape[i] if n == 0 else n for i, n in enumerate(shape)]
        return array.reshape(_with_batch(reader, target, array))

    return _rearranged(reader, change)


def _with_batch(reader: NodeReader, target: list[int], array: _MOVED) -> list[int]:
    """A shape whose batch axis, if the file fixes it to another number, is 1."""
    if isinstance(reader.value(0), Tensor) and len(target) > 1 and -1 not in target:
        count = math.prod(target)
        if count != array.size and target[0] == reader.batch and count == array.size * reader.batch:
            return [1, *target[1:]]
    return target


@register("Flatten", becomes=(ReshapeNode,), of_constants=True)
def read_flatten(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """From axis 1, resolved at import."""
    axis = reader.whole("axis", 1)

    def change(array: _MOVED) -> _MOVED:
        at = axis + array.ndim if axis < 0 else axis
        if not 0 <= at <= array.ndim:
            raise ValueError
        return array.reshape(math.prod(array.shape[:at]), -1)

    return _rearranged(reader, change)


@register("Squeeze", "Unsqueeze", becomes=(ReshapeNode,), of_constants=True)
def read_squeeze(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Resolved at import. The batch axis stays."""
    axes = reader.integers(1) if reader.has(1) else reader.wholes("axes")
    if reader.node.op == "Unsqueeze":
        if axes is None:
            reader.damaged("it has no axes")
        return _rearranged(reader, lambda array: np.expand_dims(array, axes))

    def change(array: _MOVED) -> _MOVED:
        tensor = isinstance(reader.value(0), Tensor)
        chosen = tuple(i for i, n in enumerate(array.shape) if n == 1 and (i or not tensor)) if axes is None else axes
        return np.squeeze(array, chosen)

    return _rearranged(reader, change)


@register("Concat", becomes=(ConcatenateNode,), of_constants=True)
def read_concatenate(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Along any axis except the batch's."""
    axis = reader.whole("axis", 0)
    values = [reader.value(i) for i in range(len(reader.values))]
    if not any(isinstance(value, Tensor) for value in values):
        try:
            return (Numbers(np.concatenate([reader.numbers(i) for i in range(len(values))], axis)),)
        except (ValueError, TypeError) as error:
            raise reader.error("its constants do not fit together", "export the model again") from error
    tensors = [reader.moved_tensor(i) for i in range(len(values))]
    rank, levels = len(tensors[0].shape), tensors[0].levels
    if any(tensor.levels != levels for tensor in tensors):
        raise reader.error("it joins integers of several scales", "quantize its inputs alike")
    axis += rank if axis < 0 else 0
    others = {(*t.shape[:axis], *t.shape[axis + 1 :]) for t in tensors}
    if len(others) > 1 or not 0 < axis < rank:
        shapes = " and ".join(shape_text(tensor.shape) for tensor in tensors)
        raise reader.error(f"the shapes {shapes} do not fit together", "let them differ in the joined axis only")
    if len(tensors) == 1:
        return (tensors[0],)
    if rank in (IMAGE_RANK, ROW_RANK) and all(is_stored_so(tensor) for tensor in tensors):
        found = _joined_images(reader, tensors, axis)
    else:
        found = _joined_rows(reader, tensors, axis)
    return (reader.leveled(found, levels),)


def _joined_images(reader: NodeReader, tensors: Sequence[Tensor], axis: int) -> Tensor:
    stored = [reader.stored(tensor) for tensor in tensors]
    rank = len(tensors[0].shape)
    along = 2 if axis == 1 else axis - 2 + (rank == ROW_RANK)
    shapes = [reader.node_shape(tensor) for tensor in stored]
    shape = list(shapes[0])
    shape[along] = sum(each[along] for each in shapes)
    node = ConcatenateNode(reader.name, tuple(tensor.position for tensor in stored), tuple(shape), along)
    onnx_shape = list(tensors[0].shape)
    onnx_shape[axis] = shape[along]
    return reader.image_result(reader.add(node), tuple(onnx_shape))


def _joined_rows(reader: NodeReader, tensors: Sequence[Tensor], axis: int) -> Tensor:
    rows = [reader.flat(tensor) for tensor in tensors]
    starts = np.cumsum([0, *(tensor.index.size for tensor in rows)])
    index = np.concatenate([tensor.index + start for tensor, start in zip(rows, starts, strict=False)], axis)
    node = ConcatenateNode(reader.name, tuple(tensor.position for tensor in rows), (int(starts[-1]),), 0)
    return Tensor(reader.add(node), index.astype(np.int32))


@register("Pad", becomes=(PadNode, CropNode))
def read_pad(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Zeros around an image's height and width; negative numbers cut off."""
    reader.fixed("mode", "constant", "pad with zeros: mode constant")
    tensor, (height, width, channels) = reader.image()
    pads = reader.wholes("pads") if "pads" in reader.node.attributes else reader.integers(1)
    value = reader.number("value", 0.0) if "value" in reader.node.attributes else Fraction(reader.scalar(2, 0.0))
    if value != 0:
        raise reader.error(f"it pads with {float(value):g}", "pad with zeros")
    rank = len(tensor.shape)
    axes = [a + rank if a < 0 else a for a in reader.integers(3)] if reader.has(3) else list(range(rank))
    assert pads is not None
    if len(pads) != 2 * len(axes) or any(not 0 <= a < rank for a in axes):
        reader.damaged("its pads do not fit its axes")
    before, after = dict(zip(axes, pads, strict=False)), dict(zip(axes, pads[len(axes) :], strict=True))
    if any(before.get(a, 0) or after.get(a, 0) for a in (0, 1)):
        raise reader.error("it pads the channels or the batch", "pad height and width only")
    place = (2, 3) if rank == IMAGE_RANK else (None, 2)
    top, left = (before.get(a, 0) if a else 0 for a in place)
    bottom, right = (after.get(a, 0) if a else 0 for a in place)
    return (_bordered(reader, tensor, (height, width, channels), (top, left), (bottom, right)),)


def _bordered(
    reader: NodeReader,
    tensor: Tensor,
    image: tuple[int, int, int],
    before: tuple[int, int],
    after: tuple[int, int],
) -> Tensor:
    """Rows and columns put around an image, or cut off where the numbers are negative."""
    height, width, channels = image
    cut = [tuple(max(-n, 0) for n in side) for side in (before, after)]
    put = [tuple(max(n, 0) for n in side) for side in (before, after)]
    position = tensor.position
    if any(n for side in cut for n in side):
        height, width = height - cut[0][0] - cut[1][0], width - cut[0][1] - cut[1][1]
        position = reader.add(CropNode(reader.name, (position,), (height, width, channels), (cut[0][0], cut[0][1])))
    if any(n for side in put for n in side):
        height, width = height + put[0][0] + put[1][0], width + put[0][1] + put[1][1]
        around = (put[0][0], put[0][1]), (put[1][0], put[1][1])
        position = reader.add(PadNode(reader.name, (position,), (height, width, channels), *around))
    rank = len(tensor.shape)
    return reader.image_result(position, (1, channels, height, width) if rank == IMAGE_RANK else (1, channels, width))


@register("Resize", "Upsample", becomes=(UpsampleNode,))
def read_resize(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Nearest neighbours, by whole factors, so that every pixel is repeated."""
    tensor, (height, width, channels) = reader.image()
    reader.fixed("mode", "nearest", "use mode nearest", default="nearest")
    for ignored in ("cubic_coeff_a", "exclude_outside", "extrapolation_value", "antialias"):
        reader.attribute(ignored)
    reader.fixed("keep_aspect_ratio_policy", "stretch", "use stretch")
    if reader.attribute("axes") is not None:
        raise reader.error("it names axes", "give a factor for every axis")
    factors = _factors(reader, tensor)
    upsample = reader.node.op == "Upsample"
    coordinates = reader.text("coordinate_transformation_mode", "asymmetric" if upsample else "half_pixel")
    nearest = reader.text("nearest_mode", "floor" if upsample else "round_prefer_floor")
    size: list[int] = []
    for n, factor in zip((height, width), factors, strict=True):
        if factor.denominator != 1 or factor < 1 or not _repeats(n, int(factor), coordinates, nearest):
            raise reader.error(
                f"a factor of {float(factor):g} with {coordinates} and {nearest} does not repeat every pixel",
                "use whole factors, with asymmetric and floor, or half_pixel and round_prefer_floor",
            )
        size.append(int(factor))
    shape = (height * size[0], width * size[1], channels)
    at = reader.add(UpsampleNode(reader.name, (tensor.position,), shape, (size[0], size[1])))
    rank = len(tensor.shape)
    return (reader.image_result(at, (1, channels, *shape[:2]) if rank == IMAGE_RANK else (1, channels, shape[1])),)


def _factors(reader: NodeReader, tensor: Tensor) -> tuple[Fraction, Fraction]:
    """(vertical, horizontal) factors."""
    rank = len(tensor.shape)
    if reader.has(3):
        sizes = reader.integers(3)
        factors = [Fraction(n, have) for n, have in zip(sizes, tensor.shape, strict=False)]
        if len(sizes) == rank and sizes[0] in (1, reader.batch):
            factors[0] = Fraction(1)
    else:
        at = 1 if reader.node.op == "Upsample" or not reader.has(2) else 2
        if reader.has(at):
            scales = reader.reals(at).ravel().tolist()
        else:
            scales = [float(each) for each in reader.attribute("scales", ())]
        factors = [Fraction(each) for each in scales]
    if len(factors) != rank or factors[0] != 1 or factors[1] != 1:
        raise reader.error("it does not resize height and width alone", "resize height and width only")
    return (factors[2], factors[3]) if rank == IMAGE_RANK else (Fraction(1), factors[2])


def _repeats(size: int, factor: int, coordinates: str, nearest: str) -> bool:
    """Whether output pixel x is input pixel `x // factor`, for every x."""
    for x in range(min(size, 64) * factor):
        if coordinates == "asymmetric":
            at = Fraction(x, factor)
        elif coordinates in ("half_pixel", "half_pixel_symmetric") or (
            coordinates == "pytorch_half_pixel" and size * factor > 1
        ):
            at = (x + Fraction(1, 2)) / factor - Fraction(1, 2)
        else:
            return factor == 1
        floor = math.floor(at)
        rest = at - floor
        half = Fraction(1, 2)
        chosen = {
            "floor": floor,
            "ceil": math.ceil(at),
            "round_prefer_floor": floor + (rest > half),
            "round_prefer_ceil": floor + (rest >= half),
        }.get(nearest)
        if chosen is None or min(max(chosen, 0), size - 1) != x // factor:
            return False
    return True


# Constants alone


@register("Constant", of_constants=True)
def read_constant(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """A tensor, a number or a list of numbers."""
    values = reader.array("value")
    if values is None:
        plain = [
            (name, kind)
            for name, kind in (
                ("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                ("value_ints", np.int64),
            )
            if name in reader.node.attributes
        ]  # fmt: skip
        if len(plain) != 1:
            raise reader.error("its value is not a tensor of numbers", "export the model again")
        name, kind = plain[0]
        values = np.array(reader.attribute(name), kind)
    return (Numbers(values),)


@register("Shape", of_constants=True)
def read_shape(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads any value; the batch counts as 1."""
    shape = reader.value(0).shape
    start, end = reader.whole("start", 0), reader.attribute("end")
    return (Numbers(np.array(shape[start:end], np.int64)),)


@register("Gather", "Slice", "ConstantOfShape", "Range", of_constants=True)
def read_shape_arithmetic(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """Reads constants, as exporters compute shapes with them."""
    op = reader.node.op
    try:
        if op == "Gather":
            values, places = reader.numbers(0), reader.numbers(1)
            return (Numbers(np.take(values, places, axis=reader.whole("axis", 0))),)
        if op == "ConstantOfShape":
            shape, filled = reader.integers(0), reader.array("value")
            if math.prod(shape) > _MOST_FOLDED:
                raise reader.error("its constant is too large", "export the model again")
            return (Numbers(np.full(shape, np.float32(0) if filled is None else filled.reshape(-1)[0])),)
        if op == "Range":
            start, limit, delta = (reader.scalar(i) for i in range(3))
            if delta == 0 or abs((limit - start) / delta) > _MOST_FOLDED:
                raise reader.error("its constant is too large", "export the model again")
            return (Numbers(np.arange(start, limit, delta).astype(reader.numbers(0).dtype)),)
        return (Numbers(_sliced(reader)),)
    except (ValueError, IndexError, TypeError) as error:
        raise reader.error("its constants do not fit together", "export the model again") from error


_MOST_FOLDED = 1 << 20


def _sliced(reader: NodeReader) -> npt.NDArray[Any]:
    values, starts, ends = reader.numbers(0), reader.integers(1), reader.integers(2)
    axes = reader.integers(3) if reader.has(3) else tuple(range(len(starts)))
    steps = reader.integers(4) if reader.has(4) else (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        cut = [slice(None)] * values.ndim
        cut[axis] = slice(start, end, step)
        values = values[tuple(cut)]
    return values
