"""The exact largest error of a rounded line: the distance of `floor((c * x + d) / m)` from a rational line.

The error is a line plus a floor of a line. It has no closed form, and its ends do not bound it tightly. But its maximum
over a range of integers takes only a logarithmic number of steps, as in Euclid's algorithm (`largest`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class RoundedLine:
    """`floor((slope * x + start) / divisor) + offset` for integers x.

    Attributes:
        divisor: > 0.
    """

    slope: int
    start: int
    divisor: int
    offset: int = 0

    def at(self, x: int) -> int:
        """The value at x."""
        return (self.slope * x + self.start) // self.divisor + self.offset


def largest_error(
    line: RoundedLine, step: Fraction, factor: Fraction, offset: Fraction, low: int, high: int
) -> Fraction:
    """The largest `|step * line.at(x) - (factor * x + offset)|` over integers x in [low, high], exact; step > 0."""
    start = line.slope * low + line.start
    constant = step * line.offset - factor * low - offset
    span = high - low
    above = largest(-factor, step, line.slope, start, line.divisor, span) + constant
    below = largest(factor, -step, line.slope, start, line.divisor, span) - constant
    return max(above, below)


def largest(a: Fraction, b: Fraction, c: int, d: int, m: int, n: int) -> Fraction:
    """The largest `a * x + b * floor((c * x + d) / m)` over integers x in 0..n; m > 0, n >= 0.

    Whole multiples of m in c and d leave the floor and join the line. Then y = floor((c * x + d) / m) rises from 0 to
    some Y. If a and b have one sign, an end is the largest. Otherwise each y has one best x: the smallest that reaches
    it where a < 0 < b, the largest that does not leave it where b < 0 < a. That x is again the floor of a line in y, so
    x and y change places, as do c and m: Euclid's algorithm, with as many steps.
    """
    # Integers are a good deal faster than fractions.
    denominator = math.lcm(a.denominator, b.denominator)
    p, q = int(a * denominator), int(b * denominator)
    total = 0
    best: int | None = None
    while True:
        whole, c = divmod(c, m)
        p += q * whole
        whole, d = divmod(d, m)
        total += q * whole
        most = (c * n + d) // m
        ends = max(total, total + p * n + q * most)
        best = ends if best is None else max(best, ends)
        if most == 0 or (p >= 0) == (q >= 0) or p == 0 or q == 0:
            return Fraction(best, denominator)
        if p < 0:
            # y is reached first at x = floor((m * (y - 1) + m - d - 1) / c) + 1; y = 0 is the end seen already.
            total += p + q
        # Else y is left last at x = floor((m * y + m - d - 1) / c); y = Y is the end seen already.
        p, q, c, d, m, n = q, p, m, m - d - 1, c, most - 1


def float_above(value: Fraction) -> float:
    """The smallest float64 that is not below `value`."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)
