"""Curves: sigmoid and tanh that no quantizer rounds."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import Constant, LayerCode, LayerContext, Struct, emits, fields
from stq_deploy.codegen.literals import STQ_TYPES, int32
from stq_deploy.network.ops import Curve


@emits(Curve.kind)
def emit_curve(context: LayerContext) -> LayerCode:
    """Call of `stq_curve`."""
    op, (x,), output = context.layer.op, context.inputs, context.output
    if not isinstance(op, Curve):
        raise TypeError(f"{op.kind} is not a curve")
    note = f"from level {op.base} on, {1 << op.shift} apart"
    table = Constant(context.constant_name("table"), op.table, note)
    row = fields(
        input_type=STQ_TYPES[x.dtype], output_type=STQ_TYPES[output.dtype], entries=len(op.table), base=op.base,
        shift=op.shift, minimum=output.minimum, maximum=output.maximum,
    )  # fmt: skip
    arguments = ("&params", table.name, int32(x.elements), context.input_pointers[0], context.output_pointer)
    return LayerCode((table,), (Struct("stq_curve_params", "params", (row,)),), arguments)
