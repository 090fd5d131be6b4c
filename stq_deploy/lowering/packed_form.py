"""Finds the packed requantization that equals a certified one, and proves it.

A certified form is a step function of `sign * acc` that never falls (`Form.rises`). Its steps are found by bisection.
A line with a multiplier `m` of 32 bits and an offset has the same steps exactly when, for every level k,

    (x * m >> 16) + offset >= k << shift   at the first accumulator x of k, and
    (x * m >> 16) + offset <  k << shift   at the accumulator before it.

Two of these bound the slope of the line; for a slope within all bounds, each bounds the offset. The proof is that of
`proof`. Neither form falls, and they are equal at both ends and on both sides of every step. So they are equal at
every accumulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.certificate import Certified
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.requantize import Requantize, of_channels
from stq_deploy.network.requantize.packed import PackedRequantize

MAXIMUM_LEVELS = 256
SHIFTS = (16, 12, 8, 4)
"""Right shifts in the order they are tried: SSAT and USAT shift by 16 in the same instruction."""
_CANDIDATES = 65  # multipliers of a channel that are tried, evenly spread over the slopes within the bounds
_INT32 = 2**31

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Steps:
    """A certified form over the accumulators that are reachable, for all channels.

    Attributes:
        sign: int64 (C,), -1 where the level falls as the accumulator rises.
        first: int64 (C, L), the smallest `sign * acc` with level minimum + 1 + l; `high + 1` if there is none.
        low, high: int64 (C,), the reachable `sign * acc`, inclusive.
        minimum: the lowest level.
    """

    sign: Integers
    first: Integers
    low: Integers
    high: Integers
    minimum: int


def packed_form(form: Requantize, low: Integers, high: Integers) -> Certified[PackedRequantize] | None:
    """The packed form that equals `form` at every accumulator in [low[c], high[c]] (int64 (C,) each).

    The certificate states how many accumulators are reachable, and how many of them were compared.

    Returns:
        None if sums leave int16, there are more than 256 levels, or no line has the same steps.

    Raises:
        ArithmeticError: the proof failed: a mistake in the search.
    """
    if int(low.min()) < -(2**15) or int(high.max()) >= 2**15 or form.maximum - form.minimum >= MAXIMUM_LEVELS:
        return None
    sign = _signs(form, low, high)
    if sign is None:
        return None
    steps = _steps(form, sign, low, high)
    for shift in SHIFTS:
        fits = [_fit(steps, c, shift) for c in range(len(sign))]
        found = [fit for fit in fits if fit is not None]
        if len(found) < len(fits):
            continue
        multiplier, offset = np.array(found, np.int64).T
        packed = PackedRequantize(
            multiplier.astype(np.int32), offset.astype(np.int32), shift, form.minimum, form.maximum
        )
        if packed.overflow_free(low, high):
            return Certified(packed, _prove(packed, form, steps))
    return None


def _signs(form: Requantize, low: Integers, high: Integers) -> Integers | None:
    """Direction of each channel; None if one rises and falls."""
    sign = np.where(form.apply(high[None])[0] < form.apply(low[None])[0], -1, 1).astype(np.int64)
    if form.rises(sign, low, high):
        return sign
    # A channel with one level may have a falling form.
    for c in range(len(sign)):
        one = of_channels(form, [c])
        ends = low[c : c + 1], high[c : c + 1]
        if not one.rises(sign[c : c + 1], *ends):
            sign[c] = -sign[c]
            if not one.rises(sign[c : c + 1], *ends):
                return None
    return sign


def _steps(form: Requantize, sign: Integers, low: Integers, high: Integers) -> _Steps:
    """By bisection, every channel and level at once."""
    least, most = np.where(sign > 0, low, -high), np.where(sign > 0, high, -low)
    levels = np.arange(form.minimum + 1, form.maximum + 1, dtype=np.int64)[:, None]
    shape = len(levels), len(sign)
    below, reached = np.broadcast_to(least - 1, shape), np.broadcast_to(most + 1, shape)
    while (active := reached - below > 1).any():
        middle = (below + reached) >> 1
        up = form.apply(np.clip(middle, least, most) * sign) >= levels
        below, reached = np.where(active & ~up, middle, below), np.where(active & up, middle, reached)
    return _Steps(sign, reached.T, least, most, form.minimum)


def _fit(steps: _Steps, c: int, shift: int) -> tuple[int, int] | None:
    """Multiplier and offset of channel c, the offset in the middle of its room; None if there are none."""
    first, low, high = steps.first[c], int(steps.low[c]), int(steps.high[c])
    level = np.arange(steps.minimum + 1, steps.minimum + 1 + len(first), dtype=np.int64)
    reached, missed = first <= high, first > low
    at, at_level = first[reached], level[reached]
    before, before_level = first[missed] - 1, level[missed]
    if not (reached & missed).any():
        candidates = np.zeros(1, np.int64)
    else:
        largest = max(abs(low), abs(high))
        candidates = _multipliers(*_slopes(at, at_level, before, before_level), shift, largest)
    if not len(candidates):
        return None
    least = np.full((len(candidates), 1), -_INT32, np.int64)
    most = np.full((len(candidates), 1), _INT32 - 1, np.int64)
    least = np.concatenate([least, (at_level << shift) - ((at * candidates[:, None]) >> 16)], axis=1).max(axis=1)
    most = np.concatenate([most, (before_level << shift) - 1 - ((before * candidates[:, None]) >> 16)], axis=1)
    room = most.min(axis=1) - least
    best = int(room.argmax())
    if room[best] < 0:
        return None
    offset = int(least[best]) + int(room[best]) // 2
    return int(steps.sign[c]) * int(candidates[best]), offset


def _slopes(at: Integers, at_level: Integers, before: Integers, before_level: Integers) -> tuple[float, float]:
    """Bounds of the slope, in levels: the line is at least `at_level` at `at`, and below `before_level` at `before`."""
    apart = before[None, :] - at[:, None]
    levels = before_level[None, :] - at_level[:, None]
    above, under = apart > 0, apart < 0
    most = (levels[above] / apart[above]).min(initial=np.inf)
    least = (levels[under] / apart[under]).max(initial=0.0)
    return float(least), float(most)


def _multipliers(least: float, most: float, shift: int, largest: int) -> Integers:
    """Multipliers between these slopes, such that products with sums up to `largest` stay within 30 bits."""
    scale = 2.0 ** (16 + shift)
    limit = min(_INT32 - 1, 2**45 // max(largest, 1))
    low, high = int(least * scale), int(min(most * scale + 1, limit))
    if low > high:
        return np.zeros(0, np.int64)
    return np.unique(np.linspace(low, high, _CANDIDATES).round().astype(np.int64))


def _prove(packed: PackedRequantize, form: Requantize, steps: _Steps) -> Certificate:
    """The certificate: equal at both ends and on both sides of every step, and neither falls between."""
    low, high = np.where(steps.sign > 0, steps.low, -steps.high), np.where(steps.sign > 0, steps.high, -steps.low)
    if not packed.rises(steps.sign, low, high):
        raise ArithmeticError("the packed form is not monotone")
    ends = np.stack([steps.low, steps.high])
    sides = np.clip(np.concatenate([steps.first.T - 1, steps.first.T, ends]), steps.low, steps.high)
    if not np.array_equal(packed.apply(sides * steps.sign), form.apply(sides * steps.sign)):
        raise ArithmeticError("the packed form differs from the certified one")
    return Certificate(
        packed.kind,
        True,
        channels=packed.channels,
        accumulators=int((steps.high - steps.low + 1).sum()),
        checked=sum(len(np.unique(column)) for column in sides.T),
    )
