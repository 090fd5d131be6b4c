"""Makes the sign of a fixed-point number that of the real number: a class may depend on it."""

from __future__ import annotations

import math
from fractions import Fraction

_INT32 = 2**31


def sign_shift(logit: tuple[Fraction, Fraction], form: tuple[int, int, int], low: int, high: int) -> int | None:
    """The number to add to a channel's offset so that its level is positive exactly where `factor * acc + offset` is.

    Args:
        logit: factor and offset of the logit.
        form: multiplier, offset and left shift of the level, `((acc << left) * multiplier >> 32) + offset`.
        low, high: the reachable accumulators, inclusive.

    Returns:
        None if there is none: the levels rise too slowly to separate the two sides.
    """
    (factor, offset), (multiplier, level_offset, left) = logit, form

    def level(acc: int) -> int:
        return (((acc << left) * multiplier) >> 32) + level_offset

    # The last accumulator before the sign changes, and the first after it; both functions are monotone.
    if factor == 0:
        positive = [low] if offset > 0 else []
        others = [] if positive else [low]
    elif factor > 0:
        first = math.floor(-offset / factor) + 1
        positive = [max(first, low)] if first <= high else []
        others = [min(first - 1, high)] if first > low else []
    else:
        last = math.ceil(-offset / factor) - 1
        positive = [min(last, high)] if last >= low else []
        others = [max(last + 1, low)] if last < high else []
    least = 1 - min((level(acc) for acc in positive), default=_INT32)
    most = -max((level(acc) for acc in others), default=-_INT32)
    if least > most:
        return None
    return min(max(0, least), most)
