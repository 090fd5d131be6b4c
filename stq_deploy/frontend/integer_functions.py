"""Levels as integer functions of accumulators, where a model file defines them so: the rounding of TensorFlow Lite.

The functions are those of its reference kernels (tensorflow/lite/kernels/internal/common.h and the folders below it).
Each is a step function that never falls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class StatedLevels:
    """The int8 levels of a tensor; the real value of one is `(level - zero_point) * scale`.

    Attributes:
        low, high: the smallest and the largest level, to which results are clamped; within -128..127.
        scale: real value of one level, exact, > 0.
    """

    low: int
    high: int
    scale: Fraction
    zero_point: int


class IntegerFunction(ABC):
    """A rising function from an accumulator to an unclamped level."""

    @abstractmethod
    def level(self, acc: Integers) -> Integers:
        """int64 (..., C) accumulators -> int64 (..., C) levels, not yet clamped."""

    @abstractmethod
    def slope(self, channels: int) -> tuple[Fraction, ...]:
        """Levels per accumulator step, (C,), >= 0."""

    @abstractmethod
    def of_channel(self, channel: int) -> IntegerFunction:
        """The function of one channel alone."""


@dataclass(frozen=True, eq=False)
class RoundedProduct(IntegerFunction):
    """`MultiplyByQuantizedMultiplier(acc + bias[c], multiplier[c], shift[c]) + zero_point`.

    The product `(acc + bias) * 2**max(shift, 0) * multiplier / 2**31` is rounded to the nearest, half up. It is then
    divided by `2**max(-shift, 0)` and rounded to the nearest, half away from 0.

    Attributes:
        multiplier: int64 (C,), 0..2**31 - 1; shift: int64 (C,), -31..30; bias: int64 (C,), within int32.
    """

    multiplier: Integers
    shift: Integers
    bias: Integers
    zero_point: int

    def level(self, acc: Integers) -> Integers:
        return multiplied(acc + self.bias, self.multiplier, self.shift) + self.zero_point

    def slope(self, channels: int) -> tuple[Fraction, ...]:
        return tuple(
            Fraction(int(m), 2**31) * Fraction(2) ** int(s) for m, s in zip(self.multiplier, self.shift, strict=True)
        )

    def of_channel(self, channel: int) -> RoundedProduct:
        part = slice(channel, channel + 1)
        return RoundedProduct(self.multiplier[part], self.shift[part], self.bias[part], self.zero_point)


@dataclass(frozen=True, eq=False)
class OnceRoundedProduct(IntegerFunction):
    """As `RoundedProduct`, but rounded once: `(acc + bias) * multiplier * 2**(shift - 31)` to the nearest, half up."""

    multiplier: Integers
    shift: Integers
    bias: Integers
    zero_point: int

    def level(self, acc: Integers) -> Integers:
        total = 31 - self.shift
        nearest: Integers = ((acc + self.bias) * self.multiplier + (1 << (total - 1))) >> total
        return nearest + self.zero_point

    def slope(self, channels: int) -> tuple[Fraction, ...]:
        return RoundedProduct(self.multiplier, self.shift, self.bias, self.zero_point).slope(channels)

    def of_channel(self, channel: int) -> OnceRoundedProduct:
        part = slice(channel, channel + 1)
        return OnceRoundedProduct(self.multiplier[part], self.shift[part], self.bias[part], self.zero_point)


@dataclass(frozen=True, eq=False)
class RoundedMean(IntegerFunction):
    """`acc / units + zero_point`, rounded to the nearest integer, half away from 0: a mean of levels.

    The tie goes away from level 0, which is not the level of real 0.

    Attributes:
        units: accumulator steps per level, > 0.
    """

    units: int
    zero_point: int

    def level(self, acc: Integers) -> Integers:
        total = acc + self.zero_point * self.units
        nearest: Integers = np.sign(total) * ((2 * np.abs(total) + self.units) // (2 * self.units))
        return nearest

    def slope(self, channels: int) -> tuple[Fraction, ...]:
        return (Fraction(1, self.units),) * channels

    def of_channel(self, channel: int) -> RoundedMean:
        return self


def multiplied(values: Integers, multiplier: Integers | int, shift: Integers | int) -> Integers:
    """`MultiplyByQuantizedMultiplier`: values times `multiplier * 2**(shift - 31)`, rounded twice."""
    left, right = np.maximum(shift, 0), np.maximum(np.negative(shift), 0)
    product = ((values << left) * multiplier + 2**30) >> 31
    half = np.where(right > 0, (1 << np.maximum(right - 1, 0)) - (product < 0), 0)
    quotient: Integers = (product + half) >> right
    return quotient


@dataclass(frozen=True)
class ScaledTerm:
    """One term of a sum: `MultiplyByQuantizedMultiplier(x << LEFT_SHIFT, multiplier, shift)`, times `sign`."""

    multiplier: int
    shift: int
    sign: int = 1

    def value(self, x: Integers) -> Integers:
        """The term for levels whose zero point is subtracted."""
        return self.sign * multiplied(x << LEFT_SHIFT, self.multiplier, self.shift)

    @property
    def factor(self) -> Fraction:
        """What the term is per level, except for its rounding."""
        return self.sign * Fraction(self.multiplier, 2**31) * Fraction(2) ** (LEFT_SHIFT + self.shift)


LEFT_SHIFT = 20
"""Bits by which TensorFlow Lite shifts levels before it adds them."""


@dataclass(frozen=True)
class ScaledSum:
    """A sum or difference of two tensors of levels: both terms are rounded, then their sum is multiplied and rounded.

    Attributes:
        multiplier, shift: of the sum, as in `RoundedProduct`.
    """

    terms: tuple[ScaledTerm, ScaledTerm]
    multiplier: int
    shift: int
    zero_point: int

    def level(self, a: Integers, b: Integers) -> Integers:
        """Unclamped levels of levels whose zero points are subtracted."""
        total = self.terms[0].value(a) + self.terms[1].value(b)
        return multiplied(total, self.multiplier, self.shift) + self.zero_point

    def of_sum(self, channels: int) -> RoundedProduct:
        """The function of the sum of both terms, rounded, for each of `channels` channels."""
        full = np.ones(channels, np.int64)
        return RoundedProduct(full * self.multiplier, full * self.shift, full * 0, self.zero_point)
