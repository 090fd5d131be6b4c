"""An op whose inputs are tensors, so that its accumulators are known; only its requantization is still open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.expression import (
    Accumulator,
    Combination,
    Expression,
    Integers,
    TensorValue,
    common_step,
    joined,
    real_bounds,
)
from stq_deploy.lowering.fixed_point import BITS, power_of_two
from stq_deploy.network.ops import (
    UNNAMED,
    Add,
    Maximum,
    Minimum,
    Multiply,
    RequantizedOp,
    Rescale,
    ScaledOp,
)
from stq_deploy.network.requantize import KeepAccumulator, Requantize
from stq_deploy.network.tensor import TensorType, fits

OPEN = KeepAccumulator(0, 0, 0)
"""Stands for the requantization of an op while that is still open."""

CombinedOp = Add | Multiply | Maximum | Minimum


@dataclass(frozen=True, eq=False)
class UnrequantizedOp:
    """An op without its requantization.

    Attributes:
        op: the op, with `OPEN` as its requantization.
        inputs, name, sources: as in `Decision`.
        shape: of the accumulators.
        low, high: int64 (C,), the reachable accumulators.
        scale: real value of one accumulator step; one entry, or one per channel.
    """

    op: RequantizedOp
    inputs: tuple[TensorValue, ...]
    name: str
    sources: tuple[str, ...]
    shape: tuple[int, ...]
    low: Integers
    high: Integers
    scale: tuple[Fraction, ...]

    @property
    def uniform(self) -> bool:
        """Whether all channels have the same scale."""
        return len(set(self.scale)) == 1

    def decided(
        self, form: ValueForm, by: Certified[Requantize], type: TensorType, scale: tuple[Fraction, ...], layer: str
    ) -> Decision:
        """The decision for a requantization and the tensor that it gives; `layer` as `Decision.keras_layer`."""
        op, output = replace(self.op, requantize=by.requantize), TensorValue(type, scale)
        return Decision(output, form, op, self.inputs, self.name, self.sources, layer, by.certificate)


def rescaling(x: TensorValue, name: str, sources: tuple[str, ...]) -> UnrequantizedOp:
    """The op that requantizes the levels of a tensor."""
    low, high = _of_channels(x.type.shape, x.real_levels)
    return UnrequantizedOp(Rescale(*UNNAMED, requantize=OPEN), (x,), name, sources, x.type.shape, low, high, x.scale)


def accumulation(core: Accumulator, sources: tuple[str, ...]) -> UnrequantizedOp:
    """The op of an accumulator; `sources` are the Keras layers of the stages after it."""
    return UnrequantizedOp(
        core.op, (core.source,), core.name, joined((core.layer,), sources), core.shape,
        core.low, core.high, core.scale,
    )  # fmt: skip


def combination(core: Combination, terms: tuple[TensorValue, TensorValue], sources: tuple[str, ...]) -> UnrequantizedOp:
    """The op that combines two uniform tensors; `sources` as in `accumulation`."""
    step, op = _combine(core, *terms)
    low, high = _of_channels(core.shape, _range(op, terms))
    return UnrequantizedOp(
        op, terms, core.layer, joined((core.layer,), sources), core.shape, low, high, (step,)
    )  # fmt: skip


def combination_fits(core: Combination, terms: tuple[TensorValue, TensorValue]) -> bool:
    """Whether the accumulators of a combination of two tensors, and its factors, stay within 32 bits."""
    op = _combine(core, *terms)[1]
    factors = () if isinstance(op, Multiply) else op.factors
    return fits("int32", *factors) and fits("int32", *_range(op, terms))


def common_fixed_step(terms: tuple[Expression, ...]) -> Fraction:
    """The finest step, a power of two, at which all terms are fixed-point numbers of `BITS` bits."""
    return power_of_two(max(abs(end) for term in terms for end in real_bounds(term)) / 2**BITS)


def _combine(core: Combination, a: TensorValue, b: TensorValue) -> tuple[Fraction, CombinedOp]:
    """(real value of one accumulator step, the op).

    The factors bring both tensors to the coarsest scale of which both are multiples.
    """
    kind = core.kind
    if not issubclass(kind, ScaledOp):
        return core.factor * a.step * b.step, Multiply(*UNNAMED, requantize=OPEN)
    common = common_step([a.step, b.step])
    first, second = (sign * int(x.step / common) for sign, x in zip(core.signs, (a, b), strict=True))
    return core.factor * common, kind(*UNNAMED, requantize=OPEN, factors=(first, second))


def _range(op: CombinedOp, terms: tuple[TensorValue, TensorValue]) -> tuple[int, int]:
    return op.accumulator_range([x.type for x in terms])


def _of_channels(shape: tuple[int, ...], ends: tuple[int, int]) -> tuple[Integers, Integers]:
    full = np.ones(shape[-1], np.int64)
    return full * ends[0], full * ends[1]
