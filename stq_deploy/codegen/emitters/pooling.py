"""Max and average pooling."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import CONTEXT, LayerCode, LayerContext, Row, Struct, emits, fields, image_dims
from stq_deploy.codegen.emitters.requantize import ARGUMENT, emit_requantize
from stq_deploy.network.ops import AveragePool, MaxPool, Window


@emits(MaxPool.kind)
def emit_max_pool(context: LayerContext) -> LayerCode:
    """Call of a `stq_max_pool_*` kernel."""
    op = context.layer.op
    if not isinstance(op, MaxPool):
        raise TypeError(f"{op.kind} is not a max pooling")
    structs = (Struct("stq_pool_params", "params", _window_rows(op.window)), *_dims(context))
    arguments = ("&params", "&input_dims", context.input_pointers[0], "&output_dims", context.output_pointer)
    return LayerCode((), structs, arguments, (_note(op.window),))


@emits(AveragePool.kind)
def emit_average_pool(context: LayerContext) -> LayerCode:
    """Call of a `stq_average_pool_*` kernel."""
    op = context.layer.op
    if not isinstance(op, AveragePool):
        raise TypeError(f"{op.kind} is not an average pooling")
    (x,) = context.inputs
    tables, requantize = emit_requantize(context, op.requantize)
    rows = (*_window_rows(op.window), fields(input_offset=-x.zero_point, multiple=op.multiple(x)))
    structs = (Struct("stq_pool_params", "params", rows), requantize, *_dims(context))
    arguments = (
        CONTEXT, "&params", ARGUMENT, "&input_dims", context.input_pointers[0], "&output_dims", context.output_pointer,
    )  # fmt: skip
    return LayerCode(tables, structs, arguments, (_note(op.window),))


def _window_rows(window: Window) -> tuple[Row, ...]:
    return (
        fields(window_h=window.size[0], window_w=window.size[1]),
        fields(stride_h=window.stride[0], stride_w=window.stride[1]),
        fields(pad_top=window.pad_before[0], pad_left=window.pad_before[1]),
    )


def _dims(context: LayerContext) -> tuple[Struct, Struct]:
    return image_dims("input_dims", context.inputs[0].shape), image_dims("output_dims", context.output.shape)


def _note(window: Window) -> str:
    return f"{window.size[0]}x{window.size[1]} window, stride {window.stride[0]}x{window.stride[1]}"
