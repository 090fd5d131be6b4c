"""Convolution and depthwise convolution: one kernel interface, two meanings of a weight row."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import (
    CONTEXT,
    LayerCode,
    LayerContext,
    Struct,
    emits,
    fields,
    image_dims,
)
from stq_deploy.codegen.emitters.requantize import ARGUMENT, emit_requantize
from stq_deploy.codegen.emitters.weights import emit_weights
from stq_deploy.network.ops import Convolve, DepthwiseConvolve


@emits(Convolve.kind)
@emits(DepthwiseConvolve.kind)
def emit_convolve(context: LayerContext) -> LayerCode:
    """Call of a `stq_convolve_*` or `stq_depthwise_convolve_*` kernel."""
    op = context.layer.op
    if not isinstance(op, (Convolve, DepthwiseConvolve)):
        raise TypeError(f"{op.kind} is not a convolution")
    (x,) = context.inputs
    weights, layout = emit_weights(context, op)
    tables, requantize = emit_requantize(context, op.requantize)
    window = op.window
    # A convolution's filter is as deep as a group of its input channels, a depthwise one's as its output.
    filter_channels = op.weights.shape[2] if isinstance(op, Convolve) else context.output.channels
    params = Struct(
        "stq_conv_params",
        "params",
        (
            fields(input_offset=-x.zero_point, weight_offset=layout.offset),
            fields(stride_h=window.stride[0], stride_w=window.stride[1]),
            fields(pad_top=window.pad_before[0], pad_left=window.pad_before[1]),
            fields(dilation_h=window.dilation[0], dilation_w=window.dilation[1]),
        ),
    )
    structs = (
        params,
        requantize,
        image_dims("input_dims", x.shape),
        image_dims("filter_dims", (*window.size, filter_channels)),
        image_dims("output_dims", context.output.shape),
    )
    arguments = (
        CONTEXT, "&params", ARGUMENT, "&input_dims", context.input_pointers[0], "&filter_dims", weights.name,
        "&output_dims", context.output_pointer,
    )  # fmt: skip
    note = f"{window.size[0]}x{window.size[1]} window, stride {window.stride[0]}x{window.stride[1]}"
    groups = x.channels // filter_channels if isinstance(op, Convolve) else 1
    notes = (note, *((f"{groups} groups",) if groups > 1 else ()), f"{layout.bits}-bit weights")
    return LayerCode((weights, *tables), structs, arguments, notes)
