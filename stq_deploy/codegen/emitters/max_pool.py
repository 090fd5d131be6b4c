"""Max pooling."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import LayerCode, LayerContext, Struct, emits, fields, image_dims
from stq_deploy.network.ops import MaxPool


@emits(MaxPool.kind)
def emit_max_pool(context: LayerContext) -> LayerCode:
    """Call of `stq_max_pool_s8`."""
    op = context.plan.op
    if not isinstance(op, MaxPool):
        raise TypeError(f"{op.kind} is no max pooling")
    window = op.window
    params = Struct(
        "stq_pool_params",
        "params",
        (
            fields(window_h=window.size[0], window_w=window.size[1]),
            fields(stride_h=window.stride[0], stride_w=window.stride[1]),
            fields(pad_top=window.pad_before[0], pad_left=window.pad_before[1]),
        ),
    )
    structs = (
        params,
        image_dims("input_dims", context.inputs[0].shape),
        image_dims("output_dims", context.output.shape),
    )
    arguments = ("&params", "&input_dims", context.input_pointers[0], "&output_dims", context.output_pointer)
    note = f"{window.size[0]}x{window.size[1]} window, stride {window.stride[0]}x{window.stride[1]}"
    return LayerCode((), structs, arguments, (note,))
