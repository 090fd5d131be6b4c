"""Ops that move levels, and whether a movement commutes with the stages that follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stq_deploy.frontend import source as s
from stq_deploy.lowering.builder import NetworkBuilder
from stq_deploy.lowering.expression import Levels, Moved, Movement, common_step
from stq_deploy.lowering.stages import Affine, Stage, rises
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Concatenate, Crop, MaxPool, Op, Pad, Reshape, Upsample
from stq_deploy.network.tensor import fits


def commutes(core: Moved, stages: tuple[Stage, ...]) -> bool:
    """Whether moving commutes with applying the stages and the quantizer."""
    node = core.node
    per_channel = any(isinstance(stage, Affine) and not stage.uniform for stage in stages)
    if isinstance(node, s.PadNode):
        return False  # the padding's 0 would go through the stages as well
    if isinstance(node, s.MaxPoolNode):
        return all(rises(stage) for stage in stages)
    if isinstance(node, s.ConcatenateNode):
        return not per_channel or node.axis == len(node.shape) - 1
    return not per_channel or core.keeps_channels


def move(built: NetworkBuilder, node: Movement, terms: Sequence[Levels], layer: str) -> Levels:
    """Append the op that moves `terms` (uniform unless it keeps channels; a concatenation has `joined_levels`).

    Args:
        layer: the Keras layer whose output it is, or "".
    """
    if isinstance(node, s.ConcatenateNode):
        return _concatenate(built, node, terms, layer)
    (x,) = terms
    name = built.unique(node.layer)
    common: dict[str, Any] = {"name": name, "inputs": (x.tensor,), "output": name, "sources": (node.layer,)}
    output = replace(x.type, shape=node.shape)
    op: Op
    if isinstance(node, s.MaxPoolNode):
        op = MaxPool(**common, window=node.window)
    elif isinstance(node, s.PadNode):
        op = Pad(**common, before=node.before, after=node.after)
        zero = x.type.zero_point
        output = replace(output, minimum=min(output.minimum, zero), maximum=max(output.maximum, zero))
    elif isinstance(node, s.CropNode):
        op = Crop(**common, before=node.before)
    elif isinstance(node, s.UpsampleNode):
        op = Upsample(**common, size=node.size)
    else:
        op = Reshape(**common)
    return built.add(op, output, x.scale, layer if x.uniform else "")


def joined_levels(terms: Sequence[Levels]) -> tuple[tuple[int, ...], int, int] | None:
    """(factors that bring all to one step, resulting smallest and largest level); None if these exceed 32 bits."""
    step = common_step([x.step for x in terms])
    factors = tuple(int(x.step / step) for x in terms)
    ends = [end * factor for x, factor in zip(terms, factors, strict=True) for end in x.real_levels]
    return (factors, min(ends), max(ends)) if fits("int32", *factors, *ends) else None


def _concatenate(built: NetworkBuilder, node: s.ConcatenateNode, terms: Sequence[Levels], layer: str) -> Levels:
    found = joined_levels(terms)
    assert found is not None
    factors, low, high = found
    stored_alike = len({(x.type.dtype, x.type.zero_point) for x in terms}) == 1 and set(factors) == {1}
    dtype, zero = (terms[0].type.dtype, terms[0].type.zero_point) if stored_alike else _storage(low, high)
    name = built.unique(node.layer)
    inputs = tuple(x.tensor for x in terms)
    op = Concatenate(
        name=name, inputs=inputs, output=name, sources=(node.layer,), axis=node.axis, factors=factors
    )  # fmt: skip
    step = common_step([x.step for x in terms])
    output = TensorType(node.shape, dtype, low + zero, high + zero, float(step), zero)
    return built.add(op, output, (step,), layer)


def _storage(low: int, high: int) -> tuple[str, int]:
    """Storage type and zero point for real levels in [low, high]: int8 where 256 levels suffice."""
    low, high = min(low, 0), max(high, 0)
    if fits("int8", low, high):
        return "int8", 0
    if high - low <= 255:
        return "int8", -128 - low
    return ("int16", 0) if fits("int16", low, high) else ("int32", 0)
