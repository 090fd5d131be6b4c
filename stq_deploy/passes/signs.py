"""The sign of a fixed-point number against the sign of the number it stands for: a class may hang on it."""

from __future__ import annotations

import math
from fractions import Fraction

_INT32 = 2**31


def sign_shift(logit: tuple[Fraction, Fraction], form: tuple[int, int, int], low: int, high: int) -> int | None:
    """What to add to a channel's offset so that its level is positive exactly where `factor * acc + offset` is.

    Args:
        logit: factor and offset of the logit.
        form: multiplier, offset and left shift of the level, `((acc << left) * multiplier >> 32) + offset`.
        low, high: the reachable accumulators, inclusive.

    Returns:
        None if nothing does: the levels rise too slowly to tell the two sides apart.
    """
    (factor, offset), (multiplier, level_offset, left) = logit, form

    def level(acc: int) -> int:
        return (((acc << left) * multiplier) >> 32) + level_offset

    # The last accumulator before the sign changes, and the first behind it; both functions are monotone.
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
