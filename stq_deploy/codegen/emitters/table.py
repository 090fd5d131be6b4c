"""Look-up tables of one or two tensors."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import Constant, LayerCode, LayerContext, Struct, emits, fields
from stq_deploy.codegen.literals import int32
from stq_deploy.network.ops import PairTable, Table


@emits(Table.kind)
def emit_table(context: LayerContext) -> LayerCode:
    """Call of `stq_table_s8`."""
    op = context.layer.op
    if not isinstance(op, Table):
        raise TypeError(f"{op.kind} is not a table")
    table = Constant(context.constant_name("table"), op.table, "output level of input level -128 and up")
    arguments = (
        table.name,
        int32(context.output.elements),
        context.input_pointers[0],
        context.output_pointer,
    )
    return LayerCode((table,), (), arguments)


@emits(PairTable.kind)
def emit_pair_table(context: LayerContext) -> LayerCode:
    """Call of `stq_pair_table_s8`."""
    op = context.layer.op
    if not isinstance(op, PairTable):
        raise TypeError(f"{op.kind} is not a pair table")
    a, b = context.inputs
    note = f"output level for {op.table.shape[0]} levels of the first input, {op.table.shape[1]} of the second"
    table = Constant(context.constant_name("table"), op.table, note)
    params = Struct(
        "stq_pair_table_params",
        "params",
        (fields(a_minimum=a.minimum, b_minimum=b.minimum, b_levels=op.table.shape[1]),),
    )
    arguments = (
        "&params", table.name, int32(context.output.elements), *context.input_pointers,
        context.output_pointer,
    )  # fmt: skip
    return LayerCode((table,), (params,), arguments)
