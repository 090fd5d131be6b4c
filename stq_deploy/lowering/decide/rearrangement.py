"""Ops that move levels: which one a layer becomes, its output, and whether it commutes with the stages that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stq_deploy.frontend import source as s
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.expression import Rearrangement, RearrangingNode, TensorValue, common_step
from stq_deploy.lowering.stages import Affine, Stage, rises
from stq_deploy.network import TensorType
from stq_deploy.network.ops import UNNAMED, Concatenate, Crop, MaxPool, Op, Pad, Reshape, Upsample
from stq_deploy.network.tensor import fits


def commutes(core: Rearrangement, stages: tuple[Stage, ...]) -> bool:
    """Whether the rearrangement commutes with applying the stages and the quantizer."""
    node = core.node
    per_channel = any(isinstance(stage, Affine) and not stage.uniform for stage in stages)
    if isinstance(node, s.PadNode):
        return False  # the padding's 0 would go through the stages as well
    if isinstance(node, s.MaxPoolNode):
        return all(rises(stage) for stage in stages)
    if isinstance(node, s.ConcatenateNode):
        return not per_channel or node.axis == len(node.shape) - 1
    return not per_channel or core.keeps_channels


def rearrange(node: RearrangingNode, terms: Sequence[TensorValue], layer: str) -> Decision:
    """The decision that rearranges `terms` (uniform unless it keeps channels; a concatenation has `joined_levels`).

    Args:
        layer: the Keras layer whose output it is, or "".
    """
    if isinstance(node, s.ConcatenateNode):
        return _concatenate(node, terms, layer)
    (x,) = terms
    type_ = replace(x.type, shape=node.shape)
    if isinstance(node, s.PadNode):
        zero = type_.zero_point
        type_ = replace(type_, minimum=min(type_.minimum, zero), maximum=max(type_.maximum, zero))
    output = TensorValue(type_, x.scale)
    whole = layer if x.uniform else ""
    return Decision(output, ValueForm.REARRANGED, _op_of(node), (x,), node.layer, (node.layer,), whole)


def joined_levels(terms: Sequence[TensorValue]) -> tuple[tuple[int, ...], int, int] | None:
    """(factors that bring all to one step, resulting smallest and largest level); None if these exceed 32 bits."""
    step = common_step([x.step for x in terms])
    factors = tuple(int(x.step / step) for x in terms)
    ends = [end * factor for x, factor in zip(terms, factors, strict=True) for end in x.real_levels]
    return (factors, min(ends), max(ends)) if fits("int32", *factors, *ends) else None


def _op_of(node: s.Node) -> Op:
    if isinstance(node, s.MaxPoolNode):
        return MaxPool(*UNNAMED, window=node.window)
    if isinstance(node, s.PadNode):
        return Pad(*UNNAMED, before=node.before, after=node.after)
    if isinstance(node, s.CropNode):
        return Crop(*UNNAMED, before=node.before)
    if isinstance(node, s.UpsampleNode):
        return Upsample(*UNNAMED, size=node.size)
    return Reshape(*UNNAMED)


def _concatenate(node: s.ConcatenateNode, terms: Sequence[TensorValue], layer: str) -> Decision:
    found = joined_levels(terms)
    assert found is not None
    factors, low, high = found
    stored_alike = len({(x.type.dtype, x.type.zero_point) for x in terms}) == 1 and set(factors) == {1}
    dtype, zero = (terms[0].type.dtype, terms[0].type.zero_point) if stored_alike else _storage(low, high)
    step = common_step([x.step for x in terms])
    output = TensorValue(TensorType(node.shape, dtype, low + zero, high + zero, float(step), zero), (step,))
    op = Concatenate(*UNNAMED, axis=node.axis, factors=factors)
    return Decision(output, ValueForm.REARRANGED, op, tuple(terms), node.layer, (node.layer,), layer)


def _storage(low: int, high: int) -> tuple[str, int]:
    """Storage type and zero point for real levels in [low, high]: int8 where 256 levels suffice."""
    low, high = min(low, 0), max(high, 0)
    if fits("int8", low, high):
        return "int8", 0
    if high - low <= 255:
        return "int8", -128 - low
    return ("int16", 0) if fits("int16", low, high) else ("int32", 0)
