"""The conditions of evenly spaced boundaries behind scaled and clipped values, in whole numbers over one denominator.

`Epilogue.conditions` gives the same for any function, a fraction for each level. A file may ask for a million of them,
which takes a minute there and seconds here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.stages import Affine, Clip, Stage
from stq_deploy.lowering.step_function import StepFunction

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class EvenSteps:
    """Where the levels above the lowest are reached, each by one condition on the chain's input u.

    Attributes:
        numerators: u is compared with `numerators[k] / denominator`; None where the condition does not depend on u.
        denominator: above 0.
        inclusive: whether that very number is on the upper side. Without a number: whether the level is reached.
        falling: whether a level is reached below its number.
    """

    numerators: list[int | None]
    denominator: int
    inclusive: list[bool]
    falling: bool

    def first_integers(self) -> list[int | bool]:
        """For each level the smallest integer of `sign * u` that reaches it, or whether every one does."""
        firsts: list[int | bool] = []
        for numerator, inclusive in zip(self.numerators, self.inclusive, strict=True):
            if numerator is None:
                firsts.append(inclusive)
                continue
            floor, rest = divmod(numerator, self.denominator)
            first = floor if inclusive and rest == 0 else floor + 1
            firsts.append(1 - first if self.falling else first)
        return firsts

    def first_float32(self) -> npt.NDArray[np.float32]:
        """For each level the smallest float32 t for which `sign * u >= t` reaches it, of all float32 u."""
        with np.errstate(over="ignore"):  # beyond the largest number lies infinity
            return np.array(self._float32_firsts(), np.float32)

    def _float32_firsts(self) -> list[float | np.float32]:
        return [
            (-np.inf if inclusive else np.inf)
            if numerator is None
            else self._first_float32(-numerator if self.falling else numerator, inclusive != self.falling)
            for numerator, inclusive in zip(self.numerators, self.inclusive, strict=True)
        ]

    def _first_float32(self, numerator: int, inclusive: bool) -> np.float32:
        def beyond(number: np.float32) -> bool:
            if not np.isfinite(number):
                return bool(number > 0)
            over, under = float(number).as_integer_ratio()
            left, right = over * self.denominator, numerator * under
            return left >= right if inclusive else left > right

        nearest = np.float32(self._clamped(numerator))
        while beyond(nearest):
            nearest = np.nextafter(nearest, np.float32(-np.inf))
        while not beyond(nearest):
            nearest = np.nextafter(nearest, np.float32(np.inf))
        return nearest

    def _clamped(self, numerator: int) -> float:
        try:
            return min(max(numerator / self.denominator, -_LARGEST), _LARGEST)
        except OverflowError:  # beyond float64
            return _LARGEST if numerator > 0 else -_LARGEST


def even_steps(steps: StepFunction, stages: Sequence[Stage], channel: int) -> EvenSteps | None:
    """The conditions of a quantizer behind these stages; None if its boundaries are not even, or a stage is curved."""
    lines = [stage for stage in stages if isinstance(stage, Affine | Clip)]
    if steps.line is None or len(lines) < len(stages):
        return None
    start, slope = steps.line
    levels = range(steps.minimum + 1, steps.maximum + 1)
    inclusive = list(steps.inclusive)
    reached: list[bool | None] = [None] * len(levels)  # where that does not depend on u
    falling = False
    for stage in reversed(lines):
        factor, offset = (Fraction(1), Fraction(0)) if isinstance(stage, Clip) else stage.at(channel)
        if isinstance(stage, Clip) or factor == 0:
            clip = stage if isinstance(stage, Clip) else Clip(offset, offset)
            for end, holds in ((clip.low, True), (clip.high, False)):
                for k in [] if end is None else _beyond(end, start, slope, levels, inclusive, holds=holds):
                    reached[k] = holds != falling if reached[k] is None else reached[k]
            continue
        start, slope = (start - offset) / factor, slope / factor
        if factor < 0:  # start + slope * k <= u becomes: not u > start + slope * k
            falling = not falling
            inclusive = [not one for one in inclusive]
    falling = falling and None in reached
    denominator = math.lcm(start.denominator, slope.denominator)
    a, b = int(start * denominator), int(slope * denominator)
    numerators = [a + b * level if known is None else None for known, level in zip(reached, levels, strict=True)]
    upper = [one if known is None else known for one, known in zip(inclusive, reached, strict=True)]
    return EvenSteps(numerators, denominator, upper, falling)


def _beyond(
    end: Fraction, start: Fraction, slope: Fraction, levels: range, inclusive: list[bool], *, holds: bool
) -> list[int]:
    """Indices of the boundaries that hold at `end`, or that do not."""
    denominator = math.lcm(start.denominator, slope.denominator, end.denominator)
    a, b, limit = int(start * denominator), int(slope * denominator), int(end * denominator)
    values = (a + b * level for level in levels)
    return [k for k, v in enumerate(values) if (limit > v or (inclusive[k] and limit == v)) == holds]
