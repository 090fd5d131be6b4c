"""Finds a requantization that equals a given function for every reachable accumulator; `proof` checks it.

The usable offsets of the multiplier form are an interval, because h(a) = ((a << left) * M) >> 32 is monotone in a.
Level k is reached from accumulator f on exactly when

    h(f) + offset >= k << right   and   h(f - 1) + offset < k << right.

For given M and shifts every level thus bounds the offset from below and from above. M is usable if the bounds leave
room for an integer. Half-to-even moves alternate steps by one. So a function that meets rounding ties at even and at
odd levels does not have that form, but a rounding shift has its steps. Such ties need scales that are powers of two
and no batch norm. Any other function is stored as a table or as thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.epilogue import Epilogue, Thresholds
from stq_deploy.lowering.proof import prove
from stq_deploy.network.requantize import (
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)
from stq_deploy.network.tensor import fits

MAXIMUM_TABLE = 4096
MAXIMUM_SEARCHED = 255  # levels, less one, up to which a multiplier is searched for and tables are allowed
MAXIMUM_THRESHOLDS = 1 << 16  # for an op with more levels than that: 256 KiB
_INT32 = 2**31
_NEIGHBOURS = np.concatenate([[0], np.ravel([(d, -d) for d in range(1, 17)])])

Integers = npt.NDArray[np.int64]


def certify(epilogue: Epilogue, low: Integers, high: Integers) -> Certified[Requantize]:
    """Requantization equal to `epilogue` for accumulators in [low[c], high[c]] ((C,) each), to stored levels.

    The form is a multiplier if one is exact, else a shift, else a multiplier with 64-bit sums, else the smaller of a
    table and thresholds. For more than 256 levels it is a shift, else one of two multipliers with 64-bit sums, else
    thresholds.

    Its `certificate` has the result of `proof.prove`. For a multiplier it adds `smallest_slack`: how far the worst
    channel's offset may move, in levels.

    Raises:
        ValueError: more than 256 levels, no form except thresholds, and more than `MAXIMUM_THRESHOLDS` of them.
        ArithmeticError: the proof failed: a mistake in the lowering.
    """
    target = epilogue.thresholds(low, high)
    few = target.maximum - target.minimum <= MAXIMUM_SEARCHED
    multiplier = _multiplier(target) if few and target.slope is not None else None
    if multiplier is not None:
        form, slack = multiplier
        return Certified(form, replace(prove(form, target, epilogue), smallest_slack=slack))
    other = _other_form(target, epilogue.steps.zero_point, few=few)
    return Certified(other, prove(other, target, epilogue))


def find_form(target: Thresholds, zero_point: int, *, rounded: Requantize | None) -> Requantize:
    """A form that has the target's steps, unproved: `rounded` if no multiplier has, and another if it is None.

    Args:
        zero_point: of the levels, for the form of shifts.

    Raises:
        ValueError: as `certify`.
    """
    few = target.maximum - target.minimum <= MAXIMUM_SEARCHED
    multiplier = _multiplier(target) if few and target.slope is not None else None
    if multiplier is not None:
        return multiplier[0]
    return rounded or _other_form(target, zero_point, few=few)


def _other_form(target: Thresholds, zero_point: int, *, few: bool) -> Requantize:
    """The first form after the multiplier that equals the target; `few` levels may become a table."""
    form: Requantize | None = None
    if target.slope is not None:
        form = _shift(target, zero_point) or _wide(target) or (None if few else _long(target))
    if form is None and not few and target.first.size > MAXIMUM_THRESHOLDS:
        raise ValueError("no multiplier gives so many levels exactly, and their thresholds take too much memory")
    return form or _smaller(_table(target), _threshold(target))


@dataclass(frozen=True)
class _Fit:
    """The best multiplier of one channel; `slack` is how far its offset may move, in levels."""

    multiplier: int
    offset: int
    slack: float


def _multiplier(target: Thresholds) -> tuple[MultiplierRequantize, float] | None:
    """(the most precise multipliers that equal the target, the smallest slack of a channel), or None."""
    for left, right in _shifts(target):
        fits = [fit for c in range(target.channels) if (fit := _fit(target, c, left, right)) is not None]
        if len(fits) < target.channels:
            continue
        form = MultiplierRequantize(
            np.array([fit.multiplier for fit in fits], np.int32),
            np.array([fit.offset for fit in fits], np.int32),
            left, right, target.minimum, target.maximum,
        )  # fmt: skip
        if form.overflow_free(*target.accumulators()):
            return form, min(fit.slack for fit in fits)
    return None


def _varies(target: Thresholds, c: int) -> bool:
    """Whether channel c has more than one level."""
    return bool(((target.first[c] > target.low[c]) & (target.first[c] <= target.high[c])).any())


def _shifts(target: Thresholds) -> list[tuple[int, int]]:
    """(left, right) shifts worth trying, the most precise first, such that nothing leaves int32."""
    assert target.slope is not None
    low, high = target.accumulators()
    largest = max(int(np.abs(low).max()), int(np.abs(high).max()), 1)
    steepest = max((target.slope[c] for c in range(target.channels) if _varies(target, c)), default=Fraction(0))
    # The unclipped line passes through the output's levels and continues to both ends of the accumulator's
    # range.
    span = steepest * 2 * largest + max(abs(target.minimum), abs(target.maximum)) + 1
    found = []
    for left in range(31 - largest.bit_length(), -1, -1):
        for right in range(31, -1, -1):
            if span * 2**right < _INT32 and steepest * Fraction(2) ** (right + 32 - left) < _INT32 - 32:
                found.append((right, left))
                break
    found.sort(reverse=True)
    return [(left, right) for right, left in found[:4]]


def _fit(target: Thresholds, c: int, left: int, right: int) -> _Fit | None:
    """Multiplier and offset of channel c with the widest room, or None."""
    assert target.slope is not None
    first, low, high = target.first[c], int(target.low[c]), int(target.high[c])
    level = np.arange(target.minimum + 1, target.maximum + 1, dtype=np.int64) << right
    # A channel that keeps one level needs no slope, and its line may lie far outside int32.
    ideal = round(target.slope[c] * Fraction(2) ** (right + 32 - left)) if _varies(target, c) else 0
    candidates = (ideal + _NEIGHBOURS)[:, None] if ideal else np.zeros((1, 1), np.int64)
    candidates = candidates[(candidates[:, 0] >= 0) & (candidates[:, 0] < _INT32)]
    if not len(candidates):
        return None
    # sign * acc times a multiplier >= 0 is acc times the signed multiplier.
    reached, missed = first <= high, first > low
    least = np.full((len(candidates), 1), -_INT32, np.int64)
    most = np.full((len(candidates), 1), _INT32 - 1, np.int64)
    at_step = level[reached] - (((first[reached] << left) * candidates) >> 32)
    before_step = level[missed] - 1 - ((((first[missed] - 1) << left) * candidates) >> 32)
    least = np.concatenate([least, at_step], axis=1).max(axis=1)
    most = np.concatenate([most, before_step], axis=1).min(axis=1)
    best = int((most - least).argmax())
    room = int(most[best] - least[best])
    if room < 0:
        return None
    multiplier = int(target.sign[c]) * int(candidates[best, 0])
    return _Fit(multiplier, int(least[best]) + room // 2, min(room / 2 / 2**right, 0.5))


def _shift(target: Thresholds, zero_point: int) -> ShiftRequantize | None:
    """The shift form, if all channels rise with slope 2**-shift and step where half-to-even does; else None."""
    assert target.slope is not None
    found = [_shift_of(target, c, zero_point) for c in range(target.channels)]
    fits = [fit for fit in found if fit is not None]
    if len(fits) < target.channels:
        return None
    offset, shift = np.array(fits, np.int64).T
    if np.abs(offset).max() >= _INT32:
        return None
    form = ShiftRequantize(offset.astype(np.int32), shift.astype(np.int8), zero_point, target.minimum, target.maximum)
    return form if form.overflow_free(*target.accumulators()) else None


def _shift_of(target: Thresholds, c: int, zero_point: int) -> tuple[int, int] | None:
    """(offset, shift) of channel c that reproduce each of its steps, or None."""
    assert target.slope is not None
    slope = target.slope[c]
    shift = slope.denominator.bit_length() - 1
    if target.sign[c] < 0 or slope != Fraction(1, 2**shift) or shift > 30:
        return None
    level = np.arange(target.minimum + 1, target.maximum + 1, dtype=np.int64) - zero_point
    # acc + offset rounds to `level` or more from level * 2**shift - half on, or from one more where that tie
    # goes to the even level below.
    start = (level << shift) - ((1 << shift) >> 1) + (level & 1 if shift else 0)
    low, high = int(target.low[c]), int(target.high[c])
    varying = (target.first[c] > low) & (target.first[c] <= high)
    if varying.any():
        offset = int((start - target.first[c])[varying][0])
    elif target.first[c].size and (target.first[c] <= low).all():
        offset = int(start[-1]) - low
    else:
        offset = int(start[0]) - 1 - high if target.first[c].size else 0
    agrees = np.array_equal(np.clip(start - offset, low, high + 1), np.clip(target.first[c], low, high + 1))
    return (offset, shift) if agrees else None


def _wide(target: Thresholds) -> WideRequantize | None:
    """A multiplier with 64-bit sums; None if some channel's steps are not evenly spaced enough for any."""
    fits = [_fit_wide(target, c) for c in range(target.channels)]
    found = [fit for fit in fits if fit is not None]
    if len(found) < target.channels:
        return None
    multiplier, offset, shift = zip(*found, strict=True)
    form = WideRequantize(
        np.array(multiplier, np.int32), np.array(offset, np.int64), np.array(shift, np.int8),
        target.minimum, target.maximum,
    )  # fmt: skip
    return form if form.overflow_free(*target.accumulators()) else None


def _wide_shift(target: Thresholds, slope: Fraction) -> int | None:
    """The finest shift at which levels stay far within 64 bits, and a multiplier of this slope within 31.

    The result is None if the slope itself leaves 31 bits.
    """
    largest = max(abs(target.minimum), abs(target.maximum)) + 1
    finest = 60 - largest.bit_length()
    return next((shift for shift in range(finest, -1, -1) if slope * 2**shift < _INT32 - 1), None)


def _fit_wide(target: Thresholds, c: int) -> tuple[int, int, int] | None:
    """(multiplier, offset, shift) of channel c in the middle of the offset's room, or None."""
    assert target.slope is not None
    if not _varies(target, c):
        # One level: count how many of the steps its accumulators have passed.
        return 0, (target.minimum + int((target.first[c] <= target.low[c]).sum())) << 32, 32
    shift = _wide_shift(target, target.slope[c])
    if shift is None:
        return None
    multiplier = round(target.slope[c] * 2**shift)
    # Products of a first accumulator and the multiplier take 62 bits; levels and offsets no more.
    level = np.arange(target.minimum + 1, target.maximum + 1, dtype=np.int64) << shift
    reached, missed = target.first[c] <= target.high[c], target.first[c] > target.low[c]
    least = (level - target.first[c] * multiplier)[reached]
    most = (level - 1 - (target.first[c] - 1) * multiplier)[missed]
    low = int(least.max()) if len(least) else int(most.min())
    high = int(most.min()) if len(most) else low
    return (int(target.sign[c]) * multiplier, low + (high - low) // 2, shift) if low <= high else None


def _long(target: Thresholds) -> LongRequantize | None:
    """As `_wide`, with the multiplier in units of 2**-32 and each channel's own ends."""
    fits = [_fit_long(target, c) for c in range(target.channels)]
    found = [fit for fit in fits if fit is not None]
    if len(found) < target.channels:
        return None
    factor, offset, shift = zip(*found, strict=True)
    multiplier = [(f + 2**31) >> 32 for f in factor]
    fraction = [f - (m << 32) for f, m in zip(factor, multiplier, strict=True)]
    ends = (target.minimum + (target.first <= end[:, None]).sum(axis=1) for end in (target.low, target.high))
    lowest, highest = (end.astype(np.int32) for end in ends)
    form = LongRequantize(
        np.array(multiplier, np.int32), np.array(fraction, np.int32), np.array(offset, np.int64),
        np.array(shift, np.int8), lowest, highest,
    )  # fmt: skip
    return form if form.overflow_free(*target.accumulators()) else None


def _fit_long(target: Thresholds, c: int) -> tuple[int, int, int] | None:
    """(multiplier in units of 2**-32, offset, shift) of channel c, or None.

    Only the steps within its range count: the channel's ends clip beyond the first and the last.
    """
    assert target.slope is not None
    within = (target.first[c] > target.low[c]) & (target.first[c] <= target.high[c])
    if not within.any():
        return 0, 0, 0
    shift = _wide_shift(target, target.slope[c])
    if shift is None:
        return None
    factor = round(target.slope[c] * Fraction(2) ** (shift + 32))
    whole, rest = factor >> 32, factor & (2**32 - 1)

    def product(acc: Integers) -> Integers:
        floors: Integers = acc * whole + ((acc * rest) >> 32)
        return floors

    level = np.arange(target.minimum + 1, target.maximum + 1, dtype=np.int64)[within] << shift
    first = target.first[c][within]
    low, high = int((level - product(first)).max()), int((level - 1 - product(first - 1)).min())
    return (int(target.sign[c]) * factor, low + (high - low) // 2, shift) if low <= high else None


def _threshold(target: Thresholds) -> ThresholdRequantize:
    never = np.iinfo(np.int32).max
    first = np.where(target.first > target.high[:, None], never, target.first).astype(np.int32)
    return ThresholdRequantize(first, target.sign.astype(np.int8), target.minimum)


def _table(target: Thresholds) -> TableRequantize | None:
    """A row per channel, or one for all if no two channels differ where both are reachable.

    None if there are too many accumulators, or if the levels exceed a table's 8 bits.
    """
    low, high = target.accumulators()
    base, size = int(low.min()), int(high.max() - low.min()) + 1
    if size > MAXIMUM_TABLE or not fits("int8", target.minimum, target.maximum):
        return None
    # Outside its own range a channel's row is never read; it repeats the nearest level.
    acc = np.clip(base + np.arange(size, dtype=np.int64), low[:, None], high[:, None]) * target.sign[:, None]
    rows = np.stack([target.level(c, acc[c]) for c in range(target.channels)]).astype(np.int8)
    widest = int((high - low).argmax())
    shared, covered = rows[widest].copy(), np.zeros(size, bool)
    for c in [widest, *range(target.channels)]:
        own = slice(int(low[c]) - base, int(high[c]) - base + 1)
        if (covered[own] & (shared[own] != rows[c, own])).any():
            return TableRequantize(rows, base, target.channels)
        shared[own], covered[own] = rows[c, own], True
    return TableRequantize(shared[None], base, target.channels)


def _smaller(table: TableRequantize | None, threshold: ThresholdRequantize) -> Requantize:
    return table if table is not None and table.table.nbytes <= threshold.thresholds.nbytes else threshold
