"""Fully connected layers."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import CONTEXT, LayerCode, LayerContext, Struct, emits, fields
from stq_deploy.codegen.emitters.requantize import ARGUMENT, emit_requantize
from stq_deploy.codegen.emitters.weights import emit_weights
from stq_deploy.codegen.literals import int32
from stq_deploy.network.ops import Dense


@emits(Dense.kind)
def emit_dense(context: LayerContext) -> LayerCode:
    """Call of a `stq_dense_*` kernel."""
    op = context.layer.op
    if not isinstance(op, Dense):
        raise TypeError(f"{op.kind} is not a dense layer")
    (x,) = context.inputs
    weights, layout = emit_weights(context, op)
    tables, requantize = emit_requantize(context, op.requantize)
    params = Struct("stq_dense_params", "params", (fields(input_offset=-x.zero_point, weight_offset=layout.offset),))
    arguments = (
        CONTEXT, "&params", ARGUMENT, int32(x.elements), context.input_pointers[0], weights.name,
        int32(context.output.elements), context.output_pointer,
    )  # fmt: skip
    return LayerCode((weights, *tables), (params, requantize), arguments, (f"{layout.bits}-bit weights",))
