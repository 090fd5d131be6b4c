"""Functions that no quantizer rounds, as fixed-point numbers from a table, with a proved error bound.

A gated branch such as `x + x * sigmoid(f(x))` multiplies by such a value. Where the argument takes few integers, the
table has an entry for each, and only the rounding of its entries is inexact. Otherwise parabolas pass through the
entries. The third derivative bounds their error: it is at most 1/8 for sigmoid and 2 for tanh. Where a derivative
jumps, as that of an ELU at 0, the one parabola across it errs by a share of the jump.
"""

from __future__ import annotations

import decimal
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.functions import FUNCTIONS, Parameters, as_decimal
from stq_deploy.network.ops import Curve

ENTRIES = 4096
"""Up to this many arguments have an entry each."""
_INTERVALS = 4096
_DIGITS = 40
_CUBIC = Fraction(642, 10_000)  # above 1 / (9 * sqrt(3)), the largest |t (t - 1) (t - 2)| / 6 for t in [0, 1]
_INTERPOLATED = Fraction(5, 4)  # above the largest sum of the three weights' magnitudes there


_COARSEST = Fraction(1, 16)
"""Share of the largest value that a parabola may miss; an exponential of a wide range misses more."""
_AT_THE_ENDS = Fraction(1, 2**28)


@dataclass(frozen=True)
class CurveArgument:
    """The argument of a curve: a level in [low, high] means `level * factor + offset`."""

    factor: Fraction
    offset: Fraction
    low: int
    high: int


@dataclass(frozen=True)
class Made:
    """A curve's table, the first level and the distance of its entries, and the largest error in real units."""

    table: npt.NDArray[np.int32]
    base: int
    shift: int
    error: Fraction


def make_curve(function: str, parameters: Parameters, argument: CurveArgument, step: Fraction) -> Made:
    """The function of every level in [low, high], in units of `step`.

    Raises:
        ValueError: the levels are too far apart or too many for one table.
    """
    smooth, (low, high) = FUNCTIONS[function], (argument.low, argument.high)
    cut = False
    if high - low >= ENTRIES and argument.factor != 0 and smooth.flat is not None:
        # No entries where the function is flat.
        ends = [(sign * smooth.flat - argument.offset) / argument.factor for sign in (-1, 1)]
        first, last = math.floor(min(ends)), math.ceil(max(ends))
        low, high = min(max(low, first), high), max(min(high, last), low)
        cut = (low, high) != (argument.low, argument.high)
    shift = 0
    if high - low >= ENTRIES:
        shift = max(0, ((high - low - 1) // _INTERVALS).bit_length())
    if shift > Curve.MAXIMUM_SHIFT:
        raise ValueError("its argument has too fine steps for a table")
    # Two entries more than the levels reach, so that every parabola has its three.
    levels = range(low, high + (3 << shift), 1 << shift) if shift else range(low, high + 1)
    table = _values(function, parameters, argument, levels, step)
    spacing = abs(argument.factor) * (1 << shift)
    rounding = (_INTERPOLATED + 1) / 2 if shift else Fraction(1, 2)
    error = rounding * step + (_AT_THE_ENDS if cut else 0)
    if shift:
        last_argument = max(end * argument.factor + argument.offset for end in (levels[0], levels[-1]))
        jump, second_jump = smooth.jumps(parameters)
        error += _CUBIC * spacing**3 * smooth.third(parameters, last_argument)
        if smooth.third(parameters, last_argument) * spacing**3 > _COARSEST * int(np.abs(table).max()) * step:
            raise ValueError(f"{function} varies too much over the range of its argument for a table")
        error += spacing * jump / 4 + spacing**2 * second_jump / 8
    return Made(table, low, shift, error)


def _values(
    function: str, parameters: Parameters, argument: CurveArgument, levels: range, step: Fraction
) -> npt.NDArray[np.int32]:
    value = FUNCTIONS[function].value
    with decimal.localcontext() as context:
        context.prec = _DIGITS
        unit = decimal.Decimal(step.denominator) / step.numerator
        values = []
        for level in levels:
            x = level * argument.factor + argument.offset
            values.append(round(value(as_decimal(x), parameters) * unit))
    if not all(-(2**31) <= entry < 2**31 for entry in values):
        raise ValueError(f"{function} of its argument is too large for 32 bits")
    return np.array(values, np.int32)
