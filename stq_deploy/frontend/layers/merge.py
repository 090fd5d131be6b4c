"""Layers that join branches element by element: Add and Multiply."""

from __future__ import annotations

from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import AddNode, MultiplyNode


@register("Add")
def import_add(reader: LayerReader) -> None:
    positions, shape = _branches(reader)
    reader.add(AddNode(reader.name, positions, shape))


@register("Multiply")
def import_multiply(reader: LayerReader) -> None:
    positions, shape = _branches(reader)
    reader.add(MultiplyNode(reader.name, positions, shape))


def _branches(reader: LayerReader) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shapes = [shape for _, shape in reader.inputs]
    if len(shapes) < 2:
        raise reader.error("the layer has fewer than two inputs", "join at least two tensors")
    if any(shape != shapes[0] for shape in shapes):
        raise reader.error(f"its inputs have different shapes {shapes}", "bring the branches to one shape first")
    return tuple(position for position, _ in reader.inputs), shapes[0]
