"""Fixed point: the step that a value is rounded to, and the decision that rounds an op's accumulators."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.decide.operation import UnrequantizedOp
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import Combination, Ends, Expression, TensorValue, real_bounds
from stq_deploy.lowering.fixed_point import fixed_point, power_of_two
from stq_deploy.lowering.stages import Affine, Clip, Leaky, Stage, chain, scaled
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Maximum, Minimum
from stq_deploy.network.tensor import smallest_type

FEWEST_BITS = 12
"""Fewest bits of fixed-point numbers that layers read: with fewer, the result would be a guess."""
_UNBOUNDED = Clip(None, None)


@dataclass(frozen=True)
class Rounding:
    """A value, and the step that it is to be rounded to."""

    value: Expression
    step: Fraction


def rounding_step(value: Expression, bits: int) -> Fraction:
    """The smallest power-of-two step for which |value| / step < 2**bits, even after rounding up."""
    return power_of_two(max(abs(end) for end in real_bounds(value)) / (2**bits - 2))


def first_stages(stages: tuple[Stage, ...]) -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    """(the stages that one op computes in fixed point, a scale and an offset, then a clip; the remaining stages)."""
    count = int(bool(stages) and isinstance(stages[0], Affine))
    count += int(len(stages) > count and isinstance(stages[count], Clip))
    return stages[:count], stages[count:]


def bent(x: TensorValue, stage: Leaky, layer: str) -> Combination:
    """v where positive, else slope * v: the larger of both, or the smaller where the slope is above 1."""
    kind = Maximum if stage.slope <= 1 else Minimum
    lower = Expression(x, (Affine((stage.slope,), (Fraction(0),)),))
    return Combination(layer, False, kind, (Expression(x), lower), x.type.shape)


def rounded_once(
    operation: UnrequantizedOp, stages: tuple[Stage, ...], step: Fraction, reader: str, bounds: Ends | None
) -> Decision:
    """The decision that rounds the accumulators, after `stages`, to multiples of `step`.

    Args:
        stages: at most a scale and an offset, then a clip.
        bounds: the value's exact ends, where what it is computed from was rounded before; None: the stages give them.

    Raises:
        StqError: the numbers exceed 32 bits.
    """
    first, *clips = chain(scaled(operation.scale), *stages)
    clip = clips[0] if clips else _UNBOUNDED
    assert isinstance(first, Affine)
    assert isinstance(clip, Clip)
    try:
        found = fixed_point(first, clip, operation.low, operation.high, step)
    except ValueError as error:
        raise lowering_error(reader, str(error), "put a quantizer before it, or scale it down") from error
    form = found.requantize
    if bounds is not None:
        form = replace(
            form,
            minimum=max(form.minimum, math.floor(bounds[0] / step)),
            maximum=min(form.maximum, math.ceil(bounds[1] / step)),
        )
    levels = form.minimum, form.maximum
    type_ = TensorType(operation.shape, smallest_type(*levels), *levels, scale=float(step))
    return operation.decided(ValueForm.FIXED_POINT, replace(found, requantize=form), type_, (step,), "")
