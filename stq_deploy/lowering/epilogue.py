"""Everything between an accumulator and the next level (stages, then a quantizer) as one exact function.

`Epilogue.thresholds` turns the chain, per channel, into the accumulators at which the level changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.even_steps import even_steps
from stq_deploy.lowering.stages import Affine, Curved, Leaky, Monotone, Stage, run_stage
from stq_deploy.lowering.step_function import (
    ALWAYS,
    NEVER,
    LevelBoundary,
    StepFunction,
    is_linear,
    pull_back,
    step_function,
)

Integers = npt.NDArray[np.int64]

_BEYOND = 1 << 62
"""Above every accumulator."""


@dataclass(frozen=True)
class Condition:
    """Where a level is reached: where `boundary` holds, or for a falling function where it does not."""

    boundary: LevelBoundary
    falling: bool

    def holds(self, v: Fraction) -> bool:
        return self.boundary.holds(v) != self.falling


@dataclass(frozen=True, eq=False)
class Thresholds:
    """A function from accumulator to stored level: `minimum + #{k : sign[c] * acc >= first[c, k]}`.

    Attributes:
        sign: int64 (C,), -1 where the level falls as the accumulator rises.
        first: int64 (C, L), ascending along L, clipped to the reachable range: `low` means always, `high + 1` never.
        low, high: int64 (C,), the reachable range of `sign * acc`, inclusive.
        minimum: the lowest level.
        slope: (C,), levels per accumulator step, >= 0, if the function only scales, rounds and clips; else None.
    """

    sign: Integers
    first: Integers
    low: Integers
    high: Integers
    minimum: int
    slope: tuple[Fraction, ...] | None

    @property
    def channels(self) -> int:
        return len(self.sign)

    @property
    def maximum(self) -> int:
        return self.minimum + int(self.first.shape[1])

    def level(self, channel: int, signed: Integers) -> Integers:
        """Levels for values of `sign * acc` of one channel."""
        return self.minimum + np.searchsorted(self.first[channel], signed, side="right").astype(np.int64)

    def accumulators(self) -> tuple[Integers, Integers]:
        """Reachable accumulators, (low, high) per channel."""
        falling = self.sign < 0
        return np.where(falling, -self.high, self.low), np.where(falling, -self.low, self.high)


@dataclass(frozen=True, eq=False)
class _Firsts:
    """The smallest integers of `sign * acc` that reach the levels, within those that any accumulator can be."""

    falling: bool
    integers: Integers

    @classmethod
    def of(cls, falling: bool, firsts: list[int | bool]) -> _Firsts:
        """From the integers, or for each whether every accumulator reaches the level."""
        ends = {True: -_BEYOND, False: _BEYOND}
        numbers = (ends[v] if isinstance(v, bool) else min(max(v, -_BEYOND), _BEYOND) for v in firsts)
        return cls(falling, np.fromiter(numbers, np.int64, len(firsts)))


@dataclass(frozen=True)
class Epilogue:
    """Stages, then the quantizer of an activation."""

    stages: tuple[Stage, ...]
    quantizer: Quantizer

    @cached_property
    def steps(self) -> StepFunction:
        return step_function(self.quantizer)

    @property
    def uniform(self) -> bool:
        """Whether all channels have the same function."""
        return all(stage.uniform for stage in self.stages if isinstance(stage, Affine))

    def conditions(self, channel: int) -> tuple[Condition, ...]:
        """For every level except the lowest: the condition on the chain's input that reaches it."""
        found = [Condition(boundary, falling=False) for boundary in self.steps.boundaries]
        for stage in reversed(self.stages):
            if isinstance(stage, Affine):
                factor, offset = stage.at(channel)
                found = [_before_affine(condition, factor, offset) for condition in found]
            else:
                assert not isinstance(stage, Curved)  # it has no threshold
                found = [Condition(pull_back(c.boundary, stage), c.falling) for c in found]
        return tuple(found)

    def thresholds(self, low: Integers, high: Integers) -> Thresholds:
        """The function for integers in [low[c], high[c]] ((C,) each), restricted to levels that some channel
        reaches."""
        sign = np.ones(len(low), np.int64)
        first = np.empty((len(low), self.steps.maximum - self.steps.minimum), np.int64)
        known: dict[tuple[tuple[Fraction, Fraction], ...], _Firsts] = {}
        for c in range(len(low)):
            key = tuple(stage.at(c) for stage in self.stages if isinstance(stage, Affine))
            if key not in known:  # channels often share their scale
                known[key] = _Firsts.of(*(self._linear_firsts(c) or self._even_firsts(c) or self._any_firsts(c)))
            found = known[key]
            sign[c] = -1 if found.falling else 1
            least, most = (int(-high[c]), int(-low[c])) if found.falling else (int(low[c]), int(high[c]))
            first[c] = np.clip(found.integers, least, most + 1)
        bottom, top = np.where(sign < 0, -high, low), np.where(sign < 0, -low, high)
        always = int((first <= bottom[:, None]).all(axis=0).sum())
        ever = int((first <= top[:, None]).any(axis=0).sum())
        minimum = self.steps.minimum + self.steps.zero_point + always
        return Thresholds(sign, first[:, always:ever], bottom, top, minimum, self._slope(len(low)))

    def _even_firsts(self, channel: int) -> tuple[bool, list[int | bool]] | None:
        """`_first_integers` of all conditions by arithmetic, for evenly spaced boundaries."""
        found = even_steps(self.steps, self.stages, channel)
        return None if found is None else (found.falling, found.first_integers())

    def _any_firsts(self, channel: int) -> tuple[bool, list[int | bool]]:
        return _first_integers(self.conditions(channel))

    def _linear_firsts(self, channel: int) -> tuple[bool, list[int | bool]] | None:
        """`_first_integers` of all conditions by arithmetic, for a linear quantizer of a scaled and clipped value.

        Level k is reached where `factor * u + offset` is at least `(k - 1/2) * spacing`, or above it if ties go to the
        even level and k is odd. That accumulator is linear in k.
        """
        line = self._clipped_line(channel) if is_linear(self.quantizer) else None
        if line is None:
            return None
        factor, offset, low, high = line
        levels = range(self.steps.minimum + 1, self.steps.maximum + 1)
        spacing = self.steps.spacing
        if factor == 0:
            return False, [k <= self.steps.nearest(offset) for k in levels]
        slope, start = spacing / (2 * factor), -offset / factor
        denominator = math.lcm(slope.denominator, start.denominator)
        a, b = int(slope * denominator), int(start * denominator)
        # The ends themselves round to a level: levels up to the lower end's are always reached, levels above the upper
        # end's never.
        always = self.steps.minimum if low is None else self.steps.nearest(low)
        last = self.steps.maximum if high is None else self.steps.nearest(high)
        firsts: list[int | bool] = []
        rises, reaches = factor > 0, self.steps.reaches
        for k in levels:
            if k <= always or k > last:
                firsts.append(k <= always)
                continue
            floor, rest = divmod((2 * k - 1) * a + b, denominator)
            if rises:
                firsts.append(floor if rest == 0 and reaches(k) else floor + 1)
            else:  # reached where u <= boundary, that is -u >= -boundary
                firsts.append(1 - floor if rest == 0 and not reaches(k) else -floor)
        return not rises, firsts

    def _clipped_line(self, channel: int) -> tuple[Fraction, Fraction, Fraction | None, Fraction | None] | None:
        """(factor, offset, low, high) such that the stages are `min(max(factor * u + offset, low), high)`, or None.

        An end of None is not a bound. Where the factor is 0, the offset is between the ends.
        """
        factor, offset = Fraction(1), Fraction(0)
        low: Fraction | None = None
        high: Fraction | None = None
        for stage in self.stages:
            if isinstance(stage, Leaky | Monotone | Curved):
                return None
            if isinstance(stage, Affine):
                f, o = stage.at(channel)
                factor, offset = f * factor, f * offset + o
                low, high = (None if end is None else f * end + o for end in (low, high))
                if f < 0:
                    low, high = high, low
                elif f == 0:
                    low = high = o
            else:
                low = stage.low if low is None else run_stage(stage, channel, low)
                high = stage.high if high is None else run_stage(stage, channel, high)
                if factor == 0:
                    offset = run_stage(stage, channel, offset)
        return factor, offset, low, high

    def _slope(self, channels: int) -> tuple[Fraction, ...] | None:
        # A relu before a quantizer only clips, as the quantizer itself does.
        if not is_linear(self.quantizer) or any(isinstance(stage, Leaky | Monotone | Curved) for stage in self.stages):
            return None
        slope = [1 / self.steps.spacing] * channels
        for stage in self.stages:
            if isinstance(stage, Affine):
                slope = [abs(s * stage.at(c)[0]) for c, s in enumerate(slope)]
        return tuple(slope)


def _before_affine(condition: Condition, factor: Fraction, offset: Fraction) -> Condition:
    """The condition on u that equals `condition` on `factor * u + offset`."""
    boundary = condition.boundary
    if boundary.value is None:
        return condition
    if factor == 0:
        return Condition(ALWAYS if boundary.holds(offset) else NEVER, condition.falling)
    value = (boundary.value - offset) / factor
    if factor > 0:
        return Condition(LevelBoundary(value, boundary.inclusive, boundary.exact), condition.falling)
    # factor * u + offset >= t means u <= value, which is: not u > value.
    return Condition(LevelBoundary(value, not boundary.inclusive, boundary.exact), not condition.falling)


def _first_integers(conditions: tuple[Condition, ...]) -> tuple[bool, list[int | bool]]:
    """(falling, per level: the smallest integer of `sign * acc` that reaches it, or whether every one does)."""
    # A condition that no accumulator changes has no direction.
    falling = any(c.falling for c in conditions if c.boundary.value is not None)
    firsts: list[int | bool] = []
    for condition in conditions:
        first = condition.boundary.first_integer()
        if first is None:
            firsts.append(condition.boundary.inclusive != condition.falling)
        else:
            # Falling: reached where acc < first, that is where -acc >= 1 - first.
            firsts.append(1 - first if condition.falling else first)
    return falling, firsts
