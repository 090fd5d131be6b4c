"""Layers that join branches: element by element, or by concatenation."""

from __future__ import annotations

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import (
    AddNode,
    AverageNode,
    CombineNode,
    ConcatenateNode,
    MaximumNode,
    MinimumNode,
    MultiplyNode,
    ReshapeNode,
    SubtractNode,
    UpsampleNode,
)
from stq_deploy.frontend.values import AcceptedValues, is_whole

_NODES: dict[str, type[CombineNode]] = {
    "Add": AddNode,
    "Average": AverageNode,
    "Maximum": MaximumNode,
    "Minimum": MinimumNode,
    "Multiply": MultiplyNode,
    "Subtract": SubtractNode,
}
_FEWEST = 2


@register(*_NODES)
def import_combination(reader: LayerReader) -> None:
    """A branch of height and width 1, such as a squeeze-and-excitation gate, is repeated over the others' images."""
    _check_count(reader)
    if reader.layer.kind == "Subtract" and len(reader.inputs) != _FEWEST:
        raise reader.error(f"it has {len(reader.inputs)} inputs instead of 2", "subtract one tensor from another")
    rank = max(len(shape) for _, shape in reader.inputs)
    padded = [_padded(shape, rank) for _, shape in reader.inputs]
    target = tuple(max(sizes) for sizes in zip(*padded, strict=True))
    inputs = tuple(_broadcast(reader, *branch, target) for branch in reader.inputs)
    reader.add(_NODES[reader.layer.kind](reader.name, inputs, target))


@register("Concatenate")
def import_concatenate(reader: LayerReader) -> None:
    _check_count(reader)
    shapes = [shape for _, shape in reader.inputs]
    rank = len(shapes[0])
    axes = AcceptedValues("an axis that is not the batch's", lambda v: is_whole(v, -rank, rank) and v != 0, -1)
    axis = reader.take("axis", axes, -1)
    axis = axis - 1 if axis > 0 else axis + rank
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(others) > 1 or any(len(shape) != rank for shape in shapes):
        raise reader.error(f"the shapes {shapes} do not fit together", "let them differ in the joined axis only")
    shape = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
    reader.add(ConcatenateNode(reader.name, tuple(position for position, _ in reader.inputs), shape, axis))


def _check_count(reader: LayerReader) -> None:
    if len(reader.inputs) < _FEWEST:
        raise reader.error("the layer has fewer than two inputs", "join at least two tensors")


def _padded(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The shape with axes of size 1 in front."""
    return (*[1] * (rank - len(shape)), *shape)


def _broadcast(reader: LayerReader, position: int, shape: tuple[int, ...], target: tuple[int, ...]) -> int:
    """A node of the target's shape: Keras repeats axes of size 1, and adds such axes to a branch of lower rank."""
    if shape == target:
        return position
    padded = _padded(shape, len(target))
    if len(target) > 3 or padded[-1] != target[-1] or any(n not in (1, t) for n, t in zip(padded, target, strict=True)):
        raise reader.error(
            f"its inputs have different shapes {[shape for _, shape in reader.inputs]}",
            "bring the branches to one shape first; only heights and widths of 1 are repeated",
        )
    image, large = _padded(padded, 3), _padded(target, 3)
    if image != shape:
        position = reader.add(ReshapeNode(reader.name, (position,), image))
    if image != large:
        size = (large[0] // image[0], large[1] // image[1])
        position = reader.add(UpsampleNode(reader.name, (position,), large, size))
    return position if large == target else reader.add(ReshapeNode(reader.name, (position,), target))
