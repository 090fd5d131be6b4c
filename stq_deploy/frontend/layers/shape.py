"""Layers that move no numbers: InputLayer, Flatten, Reshape, Permute."""

from __future__ import annotations

import math

from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import InputNode, PassNode, ReshapeNode


@register("InputLayer")
def import_input(reader: LayerReader) -> None:
    known = "a shape whose every size but the batch's is fixed"
    batch_shape = reader.raw("batch_input_shape", known) or reader.raw("batch_shape", known)
    reader.fixed("sparse", False)
    reader.fixed("ragged", False)
    reader.any_value("optional", "input_shape")
    if reader.inputs:  # of an inner model: its readers read the layer that the model is applied to
        _, shape = reader.only_input()
        sizes = batch_shape[1:] if isinstance(batch_shape, list) else []
        if len(sizes) != len(shape) or any(a not in (None, b) for a, b in zip(sizes, shape, strict=True)):
            raise reader.error(
                f"the inner model takes the shape {shown(batch_shape)}, and is applied to {shape}",
                "save the model again",
            )
        return
    if (
        not isinstance(batch_shape, list)
        or not 2 <= len(batch_shape) <= 5
        or any(type(n) is not int or n < 1 for n in batch_shape[1:])
    ):
        raise reader.error(
            f"the input shape {shown(batch_shape)} is not fixed",
            "give every size but the batch's, e.g. (32, 32, 1)",
        )
    reader.add(InputNode(reader.name, (), tuple(batch_shape[1:])))


@register("Flatten")
def import_flatten(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    reader.fixed("data_format", "channels_last", None)
    reader.add(ReshapeNode(reader.name, (position,), (math.prod(shape),)))


@register("Reshape")
def import_reshape(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    target = reader.sizes("target_shape", "one to four sizes, one of which may be -1", -1, example=(-1,))
    sizes = list(target)
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known > 0:
        sizes[sizes.index(-1)] = math.prod(shape) // known
    if any(n < 1 for n in sizes) or math.prod(sizes) != math.prod(shape):
        raise reader.error(f"{shape} cannot be reshaped to {shown(target)}", "keep the number of elements")
    reader.add(ReshapeNode(reader.name, (position,), tuple(sizes)))


@register("Permute")
def import_permute(reader: LayerReader) -> None:
    """Where it moves axes of size 1 only: then the elements stay in their order."""
    position, shape = reader.only_input()
    as_it_is = tuple(range(1, len(shape) + 1))
    order = tuple(n - 1 for n in reader.sizes("dims", "the input's axes in their new order, from 1 on", 1, as_it_is))
    if sorted(order) != list(range(len(shape))):
        raise reader.error(f"dims={[n + 1 for n in order]} are not the axes of {shape}", "name each axis once")
    large = [n for n in order if shape[n] > 1]
    if large != sorted(large):
        raise reader.error(
            f"dims={[n + 1 for n in order]} moves the elements of {shape}",
            "build the model so that the channels are last from the start; axes of size 1 may move",
        )
    reader.add(ReshapeNode(reader.name, (position,), tuple(shape[n] for n in order)))


@register("Identity")
def import_identity(reader: LayerReader) -> None:
    """Dropped."""
    position, shape = reader.only_input()
    reader.add(PassNode(reader.name, (position,), shape, "does nothing"))
