"""Requantizations of levels that a file defines by integer arithmetic, certified like all others.

The stated function never falls, so its steps are found by bisection (`integer_thresholds`). The multiplier form of
`certify` is taken where it has the same steps, because it is the fastest. Otherwise the form `rounded` repeats the
stated arithmetic.

A sum of two tensors is a function of pairs of levels, at most 65,536. `certify_sum` finds factors and a form, and
compares them with the stated function at every pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np

from stq_deploy.frontend.integer_functions import (
    LEFT_SHIFT,
    IntegerFunction,
    Integers,
    OnceRoundedProduct,
    RoundedProduct,
    ScaledSum,
    ScaledTerm,
    StatedLevels,
)
from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.certify import find_form
from stq_deploy.lowering.epilogue import Thresholds
from stq_deploy.lowering.proof import prove_at_steps
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.requantize import Requantize, RoundedRequantize, ThresholdRequantize
from stq_deploy.network.tensor import TensorType

_NEIGHBOURS = (0, 1, -1, 2, -2, 3, -3)
_MAXIMUM_FACTOR = 1 << 23  # 255 levels of both terms, times it, stay within int32


def certify_integers(
    function: IntegerFunction, levels: StatedLevels, low: Integers, high: Integers
) -> Certified[Requantize]:
    """The requantization that equals a stated function at every accumulator in [low[c], high[c]] ((C,) each).

    Raises:
        ArithmeticError: the proof failed: a mistake in the lowering.
    """
    target = integer_thresholds(function, levels, low, high)
    form = find_form(target, levels.zero_point, rounded=_rounded(function, target))

    def stated(channel: int, acc: Integers) -> Integers:
        one = function.of_channel(channel).level(acc[:, None])[:, 0]
        return np.clip(one, levels.low, levels.high)

    return Certified(form, prove_at_steps(form, target, stated))


def integer_thresholds(function: IntegerFunction, levels: StatedLevels, low: Integers, high: Integers) -> Thresholds:
    """The steps of a stated function over [low[c], high[c]], by bisection; it never falls."""
    channels = len(low)
    ends = [np.clip(function.level(end[None])[0], levels.low, levels.high) for end in (low, high)]
    minimum, maximum = int(ends[0].min()), int(ends[1].max())
    wanted = np.arange(minimum + 1, maximum + 1, dtype=np.int64)[:, None]
    least = np.broadcast_to(low, (len(wanted), channels)).copy()
    most = np.broadcast_to(high + 1, (len(wanted), channels)).copy()  # reached from `most` on, or never
    while (least < most).any():
        middle = (least + most) >> 1
        reached = np.clip(function.level(middle), levels.low, levels.high) >= wanted
        most = np.where(reached, middle, most)
        least = np.where(reached, least, np.minimum(middle + 1, most))
    return Thresholds(
        np.ones(channels, np.int64), most.T.copy(), low.copy(), high.copy(), minimum, function.slope(channels)
    )


def _rounded(function: IntegerFunction, target: Thresholds) -> RoundedRequantize | None:
    """The form that repeats the stated arithmetic, or nearly so for a mean; None if it can leave int32."""
    channels = target.channels
    if isinstance(function, RoundedProduct):
        form = RoundedRequantize(
            function.multiplier.astype(np.int32), function.bias.astype(np.int32), function.shift.astype(np.int8),
            0, function.zero_point, target.minimum, target.maximum,
        )  # fmt: skip
        return form if form.overflow_free(target.low, target.high) else None
    if isinstance(function, OnceRoundedProduct):  # the form `wide` is the same arithmetic
        return None
    # A mean: the tie of the second rounding is at the file's level 0. Precise products make the first one exact.
    (slope,) = set(function.slope(channels))
    offset = int(function.level(np.zeros((1, 1), np.int64))[0, 0]) / slope
    largest = max(int(np.abs(end + int(offset)).max()) for end in (target.low, target.high))
    for left in range(max(30 - largest.bit_length(), 0), -1, -1):
        found = _mean_form(slope, int(offset), left, target)
        if found is not None and found.overflow_free(target.low, target.high) and _has_steps(found, target):
            return found
    return None


def _mean_form(slope: Fraction, offset: int, left: int, target: Thresholds) -> RoundedRequantize | None:
    """`(acc + offset) * slope` in the form `rounded`, with the accumulators shifted to the left first."""
    multiplier, right = slope * 2**31 / 2**left, 0
    while multiplier < 2**30:
        multiplier, right = 2 * multiplier, right + 1
    if multiplier >= 2**31 or right > 31 or round(multiplier) >= 2**31:
        return None
    full = np.ones(target.channels, np.int64)
    return RoundedRequantize(
        (full * round(multiplier)).astype(np.int32), (full * offset).astype(np.int32), (full * -right).astype(np.int8),
        left, 0, target.minimum, target.maximum,
    )  # fmt: skip


def _has_steps(form: RoundedRequantize, target: Thresholds) -> bool:
    """Whether a form that never falls has the target's steps."""
    wanted = np.arange(target.minimum + 1, target.maximum + 1, dtype=np.int64)[:, None]
    first = target.first.T
    at, before = form.apply(np.minimum(first, target.high)), form.apply(np.maximum(first - 1, target.low))
    return bool(((at >= wanted) | (first > target.high)).all() and ((before < wanted) | (first <= target.low)).all())


# Sums


def certify_sum(
    function: ScaledSum, levels: StatedLevels, a: TensorType, b: TensorType, channels: int
) -> tuple[tuple[int, int], Certified[Requantize]] | None:
    """(factors of the two inputs, the requantization of their sum) that give the stated level at every pair of levels.

    Returns:
        None if none of the factors tried does, and the level does not rise with the nearest factors' sum either.
    """
    first, second = (np.arange(x.minimum, x.maximum + 1, dtype=np.int64) - x.zero_point for x in (a, b))
    stated = np.clip(function.level(first[:, None], second), levels.low, levels.high)
    for factors, form in _candidates(function, int(stated.min()), int(stated.max())):
        acc = first[:, None] * factors[0] + second * factors[1]
        ends = np.array([acc.min()]), np.array([acc.max()])
        if form.overflow_free(*ends) and np.array_equal(form.apply(acc[:, :, None])[:, :, 0], stated):
            full = RoundedRequantize(
                np.repeat(form.multiplier, channels), np.repeat(form.offset, channels), np.repeat(form.shift, channels),
                form.left_shift, form.zero_point, form.minimum, form.maximum,
            )  # fmt: skip
            certificate = Certificate(form.kind, True, channels=channels, entries=stated.size, checked=stated.size)
            return factors, Certified(full, certificate)
    return _by_steps(function, first, second, stated, channels)


def _by_steps(
    function: ScaledSum, first: Integers, second: Integers, stated: Integers, channels: int
) -> tuple[tuple[int, int], Certified[Requantize]] | None:
    """As `certify_sum`, by thresholds; None unless the stated level never falls as the sum of multiples rises."""
    factors = round(function.terms[0].factor), round(function.terms[1].factor)
    if 0 in factors or max(map(abs, factors)) > _MAXIMUM_FACTOR:
        return None
    acc = (first[:, None] * factors[0] + second * factors[1]).reshape(-1)
    order = np.argsort(acc, kind="stable")
    acc, levels = acc[order], stated.reshape(-1)[order]
    if (np.diff(levels) < 0).any() or ((np.diff(acc) == 0) & (np.diff(levels) != 0)).any():
        return None
    minimum = int(levels[0])
    steps = acc[np.searchsorted(levels, np.arange(minimum + 1, int(levels[-1]) + 1))].astype(np.int32)
    form = ThresholdRequantize(np.tile(steps, (channels, 1)), np.ones(channels, np.int8), minimum)
    one = ThresholdRequantize(steps[None], np.ones(1, np.int8), minimum)
    if not np.array_equal(one.apply(acc[:, None])[:, 0], levels):
        raise ArithmeticError("the thresholds of a sum are not exact")
    return factors, Certified(
        form, Certificate(form.kind, True, channels=channels, entries=levels.size, checked=levels.size)
    )


def _candidates(function: ScaledSum, minimum: int, maximum: int) -> Iterator[tuple[tuple[int, int], RoundedRequantize]]:
    """Factors near those that the terms state, each with the sum's own multiplier; the nearest come first."""
    ideal = [round(term.factor) for term in function.terms]
    arrays = np.array([function.multiplier], np.int32), np.array([function.shift], np.int8)
    tried = sorted(product(_NEIGHBOURS, _NEIGHBOURS, _NEIGHBOURS), key=lambda steps: sum(map(abs, steps)))
    for one, two, offset in tried:
        factors = ideal[0] + one, ideal[1] + two
        if 0 in factors or max(map(abs, factors)) > _MAXIMUM_FACTOR:
            continue
        yield (
            factors,
            RoundedRequantize(
                arrays[0], np.array([offset], np.int32), arrays[1], 0, function.zero_point, minimum, maximum
            ),
        )


def term_form(term: ScaledTerm, x: TensorType, channels: int) -> Certified[RoundedRequantize]:
    """The requantization of one term of a sum to 32 bits, exactly as the stated arithmetic rounds it."""
    full = np.ones(channels, np.int64)
    levels = np.array([x.minimum, x.maximum], np.int64) - x.zero_point
    unsigned = ScaledTerm(term.multiplier, term.shift)
    low, high = (int(value) for value in unsigned.value(levels))
    form = RoundedRequantize(
        (full * term.multiplier).astype(np.int32), np.zeros(channels, np.int32), (full * term.shift).astype(np.int8),
        LEFT_SHIFT, 0, low, high,
    )  # fmt: skip
    count = x.maximum - x.minimum + 1
    every = np.arange(x.minimum, x.maximum + 1, dtype=np.int64)[:, None] - x.zero_point
    if not np.array_equal(form.apply(every * np.ones((1, channels), np.int64))[:, :1], unsigned.value(every)):
        raise ArithmeticError("the rounded form of a term is not exact")
    return Certified(form, Certificate(form.kind, True, channels=channels, accumulators=count, checked=count))
