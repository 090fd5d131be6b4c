"""Layers that move no numbers: InputLayer, Flatten, Reshape, Dropout."""

from __future__ import annotations

import math

from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.layers.reader import LayerReader
from stq_deploy.frontend.layers.registry import register
from stq_deploy.frontend.source import InputNode, PassNode, ReshapeNode


@register("InputLayer")
def import_input(reader: LayerReader) -> None:
    batch_shape = reader.raw("batch_input_shape") or reader.raw("batch_shape")
    reader.fixed("sparse", False)
    reader.fixed("ragged", False)
    reader.any_value("optional", "input_shape")
    if reader.inputs:  # of an inner model: its readers read what that is applied to
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
    target = reader.raw("target_shape")
    if not isinstance(target, list | tuple) or not 1 <= len(target) <= 4 or any(type(n) is not int for n in target):
        raise reader.error(
            f"the setting target_shape={shown(target)} is not usable", "give a list of one to four sizes"
        )
    sizes = list(target)
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known > 0:
        sizes[sizes.index(-1)] = math.prod(shape) // known
    if any(n < 1 for n in sizes) or math.prod(sizes) != math.prod(shape):
        raise reader.error(f"{shape} cannot be reshaped to {shown(target)}", "keep the number of elements")
    reader.add(ReshapeNode(reader.name, (position,), tuple(sizes)))


@register("Dropout", "SpatialDropout2D")
def import_dropout(reader: LayerReader) -> None:
    position, shape = reader.only_input()
    reader.any_value("rate", "noise_shape", "seed", "data_format")
    reader.add(PassNode(reader.name, (position,), shape, "drops in training only"))
