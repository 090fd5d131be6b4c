"""Softmax in integers: its table of exponentials, and a bound of its error."""

from __future__ import annotations

import decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import Softmax

STEP = Fraction(1, 1 << 8)
"""Of the fixed-point numbers that an input without levels is rounded to, if they fit; so are many levels finer yet."""
LEVELS = 1 << 12
"""How many are many: a table of as many entries is still made."""

_DIGITS = 60


def exponentials(step: Fraction, differences: int) -> tuple[npt.NDArray[np.int32], Fraction]:
    """`Softmax.UNIT * exp(-d * step)`, rounded, for d in 0 .. `differences`, but none behind the first 0.

    Returns:
        The table, and its largest error for any difference, in units.
    """
    entries: list[int] = []
    largest = Fraction(0)
    with decimal.localcontext() as context:
        context.prec = _DIGITS
        ratio = (-decimal.Decimal(step.numerator) / step.denominator).exp()
        value = decimal.Decimal(Softmax.UNIT)
        while len(entries) <= differences and (not entries or entries[-1]):
            entries.append(round(value))
            largest = max(largest, abs(Fraction(value) - entries[-1]))
            value *= ratio
    return np.array(entries, np.int32), largest


def largest_error(rounding: Fraction, channels: int) -> Fraction:
    """A bound of the output's error, for a table that is off by at most `rounding` units.

    Of the exact exponentials, the largest being one unit U, let a channel's be p and all of them P; the table gives
    e = p + a and E = P + A, where |a| <= r, |A| <= (n - 1) r (the largest's own error is 0) and E >= U. The quotients
    differ by |e / E - p / P| = |a - A p / P| / E <= n r / U. Rounding the quotient, and 2**15 to 2**15 - 1, adds less
    than 2**-15.
    """
    return channels * rounding / Softmax.UNIT + Fraction(1, 1 << Softmax.OUTPUT_BITS)
