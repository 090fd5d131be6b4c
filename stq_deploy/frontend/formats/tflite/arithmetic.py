"""The constants of TensorFlow Lite's integer kernels, from the scales that a file states.

Each follows the kernel's own preparation, in the order and the precision of its operations. Where the kernel multiplies
two float32 scales as float32, so does this (tensorflow/lite/kernels/kernel_util.cc, add.cc, mul.cc and others).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.integer_functions import (
    LEFT_SHIFT,
    OnceRoundedProduct,
    RoundedProduct,
    ScaledSum,
    ScaledTerm,
    StatedLevels,
    multiplied,
)

Integers = npt.NDArray[np.int64]
LevelTable = npt.NDArray[np.int8]

LOW, HIGH = -128, 127
_SLOPES = {"": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}


class UnusableScale(Exception):
    """A scale leads to constants that the kernels refuse; the text says which."""


@dataclass(frozen=True)
class LevelGrid:
    """The levels of an int8 tensor: a float32 scale, held as float64, and a zero point."""

    scale: float
    zero_point: int

    def level(self, value: float) -> int:
        """The level of a real number, not clamped."""
        return self.zero_point + round_away(float(np.float32(value) / np.float32(self.scale)))

    def stated(self, activation: str = "") -> StatedLevels:
        """All levels, or those that a fused activation leaves."""
        least, most = _SLOPES[activation]
        low = LOW if least is None else max(LOW, self.level(least))
        high = HIGH if most is None else min(HIGH, self.level(most))
        if low > high:
            raise UnusableScale(f"{activation} leaves no level of the scale {self.scale:g}")
        return StatedLevels(low, high, Fraction(self.scale), self.zero_point)


ACTIVATIONS = tuple(_SLOPES)
"""The activations that may be fused."""


def round_away(value: float) -> int:
    """The nearest integer; half is rounded away from 0."""
    exact = Fraction(float(value))
    return int(math.copysign(math.floor(abs(exact) + Fraction(1, 2)), float(value)))


def quantized_multiplier(real: float) -> tuple[int, int]:
    """(multiplier, shift) with `multiplier * 2**(shift - 31)` next to a real number >= 0.

    Raises:
        UnusableScale: it is too large, or no number.
    """
    if not math.isfinite(real) or real < 0:
        raise UnusableScale(f"a ratio of scales is {real}")
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = round_away(fraction * 2.0**31)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise UnusableScale(f"a ratio of scales is {real:g}")
    return multiplier, shift


def product(
    ratios: npt.NDArray[np.float64], bias: Integers, zero_point: int, *, once: bool = False
) -> RoundedProduct | OnceRoundedProduct:
    """The function of sums of products: real ratio of scales and bias for each channel.

    Args:
        once: round once, as the matrix products of FULLY_CONNECTED do.
    """
    pairs = [quantized_multiplier(float(ratio)) for ratio in ratios]
    multiplier, shift = (np.array(part, np.int64) for part in zip(*pairs, strict=True))
    return (OnceRoundedProduct if once else RoundedProduct)(multiplier, shift, bias, zero_point)


def sum_ratios(x: float, weights: npt.NDArray[np.float64], output: float, *, dense: bool) -> npt.NDArray[np.float64]:
    """The ratio of scales of each output channel of a weighted sum.

    Args:
        dense: FULLY_CONNECTED with one scale for all weights, whose kernel multiplies both scales in float32.
    """
    products = x * weights
    return (products.astype(np.float32).astype(np.float64) if dense else products) / output


def product_ratio(a: float, b: float, output: float) -> float:
    """The ratio of an elementwise product, whose kernel computes it in float32."""
    return float(np.float32(a) * np.float32(b) / np.float32(output))


def scaled_sum(a: LevelGrid, b: LevelGrid, output: LevelGrid, sign: int) -> ScaledSum:
    """A sum (sign 1) or a difference (-1)."""
    largest = float(np.float32(2) * np.float32(max(a.scale, b.scale)))
    terms = [quantized_multiplier(grid.scale / largest) for grid in (a, b)]
    multiplier, shift = quantized_multiplier(largest / float(np.float32(2**LEFT_SHIFT) * np.float32(output.scale)))
    if shift > 0:
        raise UnusableScale(f"the output's scale {output.scale:g} is too fine for the inputs' {largest / 2:g}")
    return ScaledSum((ScaledTerm(*terms[0]), ScaledTerm(*terms[1], sign)), multiplier, shift, output.zero_point)


def every_level() -> Integers:
    """-128 .. 127."""
    return np.arange(LOW, HIGH + 1, dtype=np.int64)


def rescaled_table(x: LevelGrid, output: LevelGrid, levels: StatedLevels, ratio: float) -> LevelTable:
    """Requantization from one grid to another, clamped."""
    multiplier, shift = quantized_multiplier(ratio)
    moved = multiplied(every_level() - x.zero_point, multiplier, shift) + output.zero_point
    table: LevelTable = np.clip(moved, levels.low, levels.high).astype(np.int8)
    return table


def leaky_table(x: LevelGrid, output: LevelGrid, alpha: float) -> LevelTable:
    """Leaky ReLU: another multiplier below 0."""
    scales = np.float32(x.scale), np.float32(output.scale)
    identity = quantized_multiplier(float(scales[0] / scales[1]))
    below = quantized_multiplier(float(scales[0] * np.float32(alpha) / scales[1]))
    values = every_level() - x.zero_point
    moved = np.where(values >= 0, multiplied(values, *identity), multiplied(values, *below)) + output.zero_point
    table: LevelTable = np.clip(moved, LOW, HIGH).astype(np.int8)
    return table


def curve_table(x: LevelGrid, output: LevelGrid, function: Callable[[float], float]) -> LevelTable:
    """A function of real numbers, as the kernels tabulate it in float32.

    Args:
        function: float32 -> float32.
    """
    inverse = np.float32(1) / np.float32(output.scale)
    table = []
    for value in every_level() - x.zero_point:
        moved = np.float32(function(float(np.float32(x.scale) * np.float32(value)))) * inverse
        table.append(round_away(float(moved)) + output.zero_point)
    return np.clip(table, LOW, HIGH).astype(np.int8)


def sigmoid(v: float) -> float:
    """float32; the exponential is the correctly rounded one."""
    with np.errstate(over="ignore"):
        power = np.float32(np.exp(-np.float64(v)))
        return float(np.float32(1) / (np.float32(1) + power))


def tanh(v: float) -> float:
    """float32, correctly rounded."""
    return float(np.float32(np.tanh(np.float64(v))))
