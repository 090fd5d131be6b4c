"""Ops that treat every element alike and requantize: one tensor rescaled; sum, product or extreme of two."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import CONTEXT, LayerCode, LayerContext, Row, Struct, emits, fields
from stq_deploy.codegen.emitters.requantize import ARGUMENT, emit_requantize
from stq_deploy.codegen.literals import STQ_TYPES, int32
from stq_deploy.network.ops import Add, ElementwiseOp, Maximum, Minimum, Multiply, Rescale, ScaledOp


@emits(Rescale.kind)
def emit_rescale(context: LayerContext) -> LayerCode:
    """Call of `stq_rescale`."""
    (x,) = context.inputs
    return _emit(context, "stq_rescale_params", (fields(input_type=STQ_TYPES[x.dtype], input_offset=-x.zero_point),))


@emits(Add.kind)
@emits(Maximum.kind)
@emits(Minimum.kind)
@emits(Multiply.kind)
def emit_elementwise(context: LayerContext) -> LayerCode:
    """Call of `stq_add`, `stq_maximum`, `stq_minimum` or `stq_multiply`."""
    op, (a, b) = context.layer.op, context.inputs
    rows: tuple[Row, ...] = (
        fields(a_type=STQ_TYPES[a.dtype], b_type=STQ_TYPES[b.dtype]),
        fields(a_offset=-a.zero_point, b_offset=-b.zero_point),
    )
    if isinstance(op, ScaledOp):
        rows = (*rows, fields(a_factor=op.factors[0], b_factor=op.factors[1]))
    return _emit(context, "stq_elementwise_params", rows)


def _emit(context: LayerContext, params_type: str, rows: tuple[Row, ...]) -> LayerCode:
    op = context.layer.op
    if not isinstance(op, ElementwiseOp):
        raise TypeError(f"{op.kind} is not an elementwise op")
    tables, requantize = emit_requantize(context, op.requantize)
    channels = context.output.channels
    arguments = (
        CONTEXT, "&params", ARGUMENT, int32(context.output.elements // channels), int32(channels),
        *context.input_pointers, context.output_pointer,
    )  # fmt: skip
    return LayerCode(tables, (Struct(params_type, "params", rows), requantize), arguments)
