"""Ops that move levels: padding, cropping, upsampling, concatenation."""

from __future__ import annotations

import math

from stq_deploy.codegen.emitters.base import (
    LayerCode,
    LayerContext,
    Row,
    Struct,
    StructArray,
    emits,
    fields,
    image_dims,
)
from stq_deploy.codegen.literals import STQ_TYPES
from stq_deploy.network.ops import Concatenate, Crop, Pad, Upsample


@emits(Pad.kind)
def emit_pad(context: LayerContext) -> LayerCode:
    """Call of `stq_pad`."""
    op, output = context.layer.op, context.output
    if not isinstance(op, Pad):
        raise TypeError(f"{op.kind} is not a padding")
    place = fields(top=op.before[0], left=op.before[1])
    rows = (fields(type=STQ_TYPES[output.dtype]), place, fields(level=output.zero_point))
    return _moving_image(context, Struct("stq_pad_params", "params", rows))


@emits(Crop.kind)
def emit_crop(context: LayerContext) -> LayerCode:
    """Call of `stq_crop`."""
    op = context.layer.op
    if not isinstance(op, Crop):
        raise TypeError(f"{op.kind} is not a cropping")
    rows = (fields(type=STQ_TYPES[context.output.dtype], top=op.before[0], left=op.before[1]),)
    return _moving_image(context, Struct("stq_crop_params", "params", rows))


@emits(Upsample.kind)
def emit_upsample(context: LayerContext) -> LayerCode:
    """Call of `stq_upsample`."""
    op = context.layer.op
    if not isinstance(op, Upsample):
        raise TypeError(f"{op.kind} is not a upsampling")
    row = fields(type=STQ_TYPES[context.output.dtype], size_h=op.size[0], size_w=op.size[1])
    structs = Struct("stq_upsample_params", "params", (row,)), image_dims("input_dims", context.inputs[0].shape)
    return LayerCode((), structs, ("&params", "&input_dims", context.input_pointers[0], context.output_pointer))


@emits(Concatenate.kind)
def emit_concatenate(context: LayerContext) -> LayerCode:
    """Call of `stq_concatenate`."""
    op, output = context.layer.op, context.output
    if not isinstance(op, Concatenate):
        raise TypeError(f"{op.kind} is not a concatenation")
    parts: list[Row] = [
        fields(
            levels=pointer,
            type=STQ_TYPES[x.dtype],
            elements=math.prod(x.shape[op.axis :]),
            input_offset=-x.zero_point,
            factor=factor,
        )
        for x, pointer, factor in zip(context.inputs, context.input_pointers, op.factors, strict=True)
    ]
    sizes = fields(parts=len(parts), rows=math.prod(output.shape[: op.axis]))
    form = fields(output_type=STQ_TYPES[output.dtype], output_offset=output.zero_point)
    structs = (
        Struct("stq_concatenate_params", "params", (sizes, form)),
        StructArray("stq_concatenate_part", "parts", tuple(parts)),
    )
    return LayerCode((), structs, ("&params", "parts", context.output_pointer), (f"along axis {op.axis}",))


def _moving_image(context: LayerContext, params: Struct) -> LayerCode:
    dims = image_dims("input_dims", context.inputs[0].shape), image_dims("output_dims", context.output.shape)
    arguments = ("&params", "&input_dims", context.input_pointers[0], "&output_dims", context.output_pointer)
    return LayerCode((), (params, *dims), arguments)
