"""Softmax in integers: its table of exponentials, and a bound on its error."""

from __future__ import annotations

import decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import Softmax

STEP = Fraction(1, 1 << 8)
"""Step of the fixed-point numbers to which an unquantized input is rounded, if they fit. Many finer levels are rounded
to it as well."""
LEVELS = 1 << 12
"""The most entries of a table of levels; more levels than this are many."""

_DIGITS = 60


def exponentials(step: Fraction, differences: int) -> tuple[npt.NDArray[np.int32], Fraction]:
    """`Softmax.UNIT * exp(-d * step)`, rounded, for d in 0 .. `differences`, up to the first 0.

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
    """A bound on the output's error, for a table whose entries err by at most `rounding` units.

    Let p be a channel's exact exponential and P the sum of all, where the largest is one unit U. The table gives
    e = p + a and E = P + A, where |a| <= r, |A| <= (n - 1) r (the largest's own error is 0) and E >= U. The quotients
    differ by |e / E - p / P| = |a - A p / P| / E <= n r / U. Rounding the quotient, and 2**15 to 2**15 - 1, adds less
    than 2**-15.
    """
    return channels * rounding / Softmax.UNIT + Fraction(1, 1 << Softmax.OUTPUT_BITS)
