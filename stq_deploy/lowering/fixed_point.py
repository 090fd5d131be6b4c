"""Real values that no quantizer rounds, as int32 fixed-point numbers with a proved error bound.

A sum of two branches that batch norm scales differently, for example, has no exact integers. Each branch is then
rounded to a step far finer than any quantizer's. The result can differ from exact arithmetic only within that error of
a rounding tie. The certificate states the error.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.stages import Affine, Clip, run_stage
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.requantize import WideRequantize

BITS = 28
"""Largest magnitude of a fixed-point number, so that sums and differences of two stay within int32."""
_HALF = Fraction(1, 2)
_FINEST = Fraction(1, 2**60)


def power_of_two(bound: Fraction) -> Fraction:
    """The smallest power of two that is not below `bound`; at least 2**-60."""
    bound = max(bound, _FINEST)
    step = Fraction(2) ** (math.frexp(float(bound))[1] - 1)
    while step < bound:
        step *= 2
    return step


def fixed_point(
    affine: Affine, clip: Clip, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], step: Fraction
) -> Certified[WideRequantize]:
    """`clip(affine(acc))` in units of `step`, rounded, for accumulators in [low[c], high[c]] ((C,) each).

    Its certificate has `largest_error` in real units, a bound for every reachable accumulator. The multiplier's error
    grows with the accumulator; the errors of the offset and of rounding down after adding a half do not.

    Raises:
        ValueError: the values leave int32 at this step.
    """
    channels = len(low)
    pairs = [affine.at(c) for c in range(channels)]
    reached = [
        tuple(run_stage(clip, c, run_stage(affine, c, Fraction(int(acc)))) for acc in (low[c], high[c]))
        for c in range(channels)
    ]
    # A channel is constant if its weights are 0, or if a ReLU clips all of it. It needs no factor, so the factor's
    # size as a multiple of the step does not matter.
    pairs = [(Fraction(0), a) if a == b else pair for pair, (a, b) in zip(pairs, reached, strict=True)]
    parts = [_channel(f / step, o / step) for f, o in pairs]
    multiplier, offset, shift = (list(column) for column in zip(*parts, strict=True))
    error = max(
        abs(Fraction(m, 2**s) - f / step) * max(abs(int(low[c])), abs(int(high[c])))
        + abs(Fraction(b, 2**s) - _HALF - o / step)
        + _HALF
        for c, ((m, b, s), (f, o)) in enumerate(zip(parts, pairs, strict=True))
    )
    ends = [end / step for pair in reached for end in pair]
    minimum, maximum = math.floor(min(ends) - error), math.ceil(max(ends) + error)
    # A bound of the clip is met exactly where it is a multiple of the step; otherwise rounding is part of the error.
    if clip.low is not None:
        minimum = max(minimum, round(clip.low / step))
    if clip.high is not None:
        maximum = min(maximum, round(clip.high / step))
    certificate = Certificate("wide", False, channels=channels, largest_error=float(error * step))
    if not -(2**31) <= minimum <= maximum < 2**31:
        raise ValueError("its values are too large for fixed point")
    form = WideRequantize(
        np.array(multiplier, np.int32), np.array(offset, np.int64), np.array(shift, np.int8),
        minimum, maximum,
    )  # fmt: skip
    if not form.overflow_free(low, high):
        raise ValueError("its values are too large for fixed point")
    return Certified(form, certificate)


def _channel(factor: Fraction, offset: Fraction) -> tuple[int, int, int]:
    """(multiplier, offset, shift) nearest to `factor * acc + offset`, rounded to nearest: 31 bits of the multiplier."""
    shift = 46  # finer would gain nothing: 2**-46 of a step times 2**31 accumulators is far below half a step
    while shift and (abs(factor) * 2**shift >= 2**31 - 1 or abs(offset) * 2**shift >= 2**61):
        shift -= 1
    multiplier = round(factor * 2**shift)
    if abs(multiplier) >= 2**31:
        raise ValueError("its scale is too large for fixed point")
    return multiplier, math.floor(offset * 2**shift + Fraction(2**shift, 2)), shift
