"""The packed weights that convolutions and dense layers share."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import Constant, LayerContext
from stq_deploy.network.ops import WeightedOp
from stq_deploy.program.packed_weights import pack_weights
from stq_deploy.program.weights import WeightLayout


def emit_weights(context: LayerContext, op: WeightedOp) -> tuple[Constant, WeightLayout]:
    """The array of packed weights, and its layout."""
    layout = context.layer.weights
    if layout is None:
        raise TypeError(f"the plan gives {op.name!r} no weights")
    note = f"{layout.rows} rows of {layout.columns} weights, {layout.bits} bits each"
    return Constant(context.constant_name("weights"), pack_weights(op, layout), note), layout
