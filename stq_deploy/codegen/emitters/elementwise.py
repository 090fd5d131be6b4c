"""Sums and products of two tensors."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import CONTEXT, LayerCode, LayerContext, Row, Struct, emits, fields
from stq_deploy.codegen.emitters.requantize import ARGUMENT, emit_requantize
from stq_deploy.codegen.literals import STQ_TYPES, int32
from stq_deploy.network.ops import Add, Multiply


@emits(Add.kind)
@emits(Multiply.kind)
def emit_elementwise(context: LayerContext) -> LayerCode:
    """Call of `stq_add` or `stq_multiply`."""
    op = context.plan.op
    if not isinstance(op, (Add, Multiply)):
        raise TypeError(f"{op.kind} is neither a sum nor a product")
    a, b = context.inputs
    tables, requantize = emit_requantize(context, op.requantize)
    rows: tuple[Row, ...] = (
        fields(a_type=STQ_TYPES[a.dtype], b_type=STQ_TYPES[b.dtype]),
        fields(a_offset=-a.zero_point, b_offset=-b.zero_point),
    )
    if isinstance(op, Add):
        rows = (*rows, fields(a_factor=op.factors[0], b_factor=op.factors[1]))
    channels = context.output.channels
    arguments = (
        CONTEXT, "&params", ARGUMENT, int32(context.output.elements // channels), int32(channels),
        *context.input_pointers, context.output_pointer,
    )  # fmt: skip
    return LayerCode(tables, (Struct("stq_elementwise_params", "params", rows), requantize), arguments)
