"""Softmax."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import Constant, LayerCode, LayerContext, Struct, emits, fields
from stq_deploy.codegen.literals import STQ_TYPES, int32
from stq_deploy.network.ops import Softmax


@emits(Softmax.kind)
def emit_softmax(context: LayerContext) -> LayerCode:
    """Call of `stq_softmax`."""
    op, (x,) = context.layer.op, context.inputs
    if not isinstance(op, Softmax):
        raise TypeError(f"{op.kind} is not a softmax")
    table = Constant(context.constant_name("table"), op.table, f"{op.UNIT} * exp(-x) by levels below the largest")
    row = fields(input_type=STQ_TYPES[x.dtype], entries=len(op.table))
    arguments = (
        "&params", table.name, int32(x.elements // x.channels), int32(x.channels), context.input_pointers[0],
        context.output_pointer,
    )  # fmt: skip
    return LayerCode((table,), (Struct("stq_softmax_params", "params", (row,)),), arguments)
