"""Exact integers: when a value has them, and the decision that stores an op's accumulators as they are."""

from __future__ import annotations

from dataclasses import replace

from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.decide.operation import UnrequantizedOp
from stq_deploy.lowering.expression import (
    Accumulator,
    Combination,
    Expression,
    ExpressionCore,
    Rearrangement,
    TensorValue,
)
from stq_deploy.network import TensorType
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.network.tensor import smallest_type


def may_be_exact(term: Expression) -> bool:
    """Whether the term is the integers of one scale, or a rearrangement of terms that have yet to be asked."""
    return not term.stages and (not isinstance(term.core, Accumulator) or len(set(term.core.scale)) == 1)


def has_one_scale(core: ExpressionCore) -> bool:
    """Whether the core's integers have one scale before anything is rounded."""
    if isinstance(core, TensorValue):
        return core.uniform
    return not isinstance(core, Rearrangement) and (not isinstance(core, Accumulator) or len(set(core.scale)) == 1)


def keep_accumulators(operation: UnrequantizedOp) -> Certified[KeepAccumulator]:
    """The form that stores accumulators as they are."""
    channels = len(operation.low)
    form = KeepAccumulator(channels, int(operation.low.min()), int(operation.high.max()))
    return Certified(form, Certificate("keep", True, channels=channels))


def kept(core: Accumulator | Combination, operation: UnrequantizedOp) -> Decision:
    """The decision that stores the accumulators of `operation`, the op of `core`, in the smallest type."""
    operation = replace(operation, sources=(core.layer,) if core.whole else ())
    keep, uniform = keep_accumulators(operation), operation.uniform
    smallest, largest = keep.requantize.minimum, keep.requantize.maximum
    scale = operation.scale[:1] if uniform else operation.scale
    type_ = TensorType(
        core.shape, smallest_type(smallest, largest), smallest, largest, float(scale[0]) if uniform else 1.0
    )
    # Where each channel has its own scale, the float comparison lacks a common scale to read the tensor.
    layer = core.layer if core.whole and uniform else ""
    return operation.decided(ValueForm.EXACT, keep, type_, scale, layer)
