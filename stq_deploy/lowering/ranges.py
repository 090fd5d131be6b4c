"""Chooses the quantizer of a tensor's 256 levels from its values on calibration samples.

The quantizer is affine, `level = clip(floor(v / scale + 1/2), low, high)`. Real 0 is a level, so zero padding stays
exact [1, section 2.1]. Its range has two methods. "minmax" takes the smallest and the largest value seen. "mse" takes
the range with the least mean squared error of quantization over the values seen [2, section 3.1].

- [1] Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
  2018, arXiv:1712.05877.
- [2] Nagel et al., "A white paper on neural network quantization", 2021, arXiv:2106.08295.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.quantizers import Quantizer, affine_quantizer

Reals = npt.NDArray[np.floating[Any]]
Histogram = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Centers of the bins, and how many values each has."""

LEVELS = 256
_MANTISSA = 256  # scales are multiples of a power of two by 128..255
_BINS = 2048
_NOTHING = _BINS * float(np.finfo(np.float32).tiny)
"""A smaller value counts as 0: float32 cannot distinguish the bins or the levels of such a range."""
_SHRUNK = np.linspace(1.0, 0.2, 81)  # parts of a range that "mse" tries


@dataclass(frozen=True)
class Range:
    """The real values, low <= 0 <= high, that a tensor's levels span."""

    low: float
    high: float

    @staticmethod
    def of(values: Reals) -> Range:
        """From the smallest to the largest value; from 0 to 0 for a layer that is (nearly) dead."""
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        return Range(low if low < -_NOTHING else 0.0, high if high > _NOTHING else 0.0)

    def union(self, other: Range) -> Range:
        """The smallest range that contains both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def histogram(self, values: Reals) -> npt.NDArray[np.int64]:
        """Counts of the values by bin, without 0, which is a level of every quantizer."""
        return np.histogram(values[values != 0], _BINS, (self.low, self.high))[0]


def finest_grid(span: Range) -> Quantizer:
    """The affine quantizer whose levels span `span`."""
    low, high, scale = _grid(span)
    return affine_quantizer(low, high, scale)


def coarse_grid(span: Range) -> Quantizer:
    """As `finest_grid`, but its scale is rounded up, by 1/128 at most, to a short binary number.

    Scales of few bits have ratios of small integers, so that tensors add up exactly (the factors of `network.ops.Add`).
    """
    mantissa, exponent = math.frexp(_grid(span)[2])
    scale = Fraction(math.ceil(mantissa * _MANTISSA), _MANTISSA) * Fraction(2) ** exponent
    return affine_quantizer(round(Fraction(span.low) / scale), round(Fraction(span.high) / scale), scale)


def _grid(span: Range) -> tuple[int, int, Fraction]:
    """(lowest level, highest level, scale): the finest levels that include 0 and reach both ends."""
    low, high = Fraction(span.low), Fraction(span.high)
    if low == high:
        return 0, LEVELS - 1, Fraction(1)
    below = round(-low / (high - low) * (LEVELS - 1))
    below = max(below, 1) if low < 0 else below
    below = min(below, LEVELS - 2) if high > 0 else below
    scale = max(
        -low / below if below else Fraction(0), high / (LEVELS - 1 - below) if below < LEVELS - 1 else Fraction(0)
    )
    return round(low / scale), round(high / scale), scale


def smallest_error(span: Range, counts: npt.NDArray[np.int64]) -> Range:
    """The part of `span` whose quantizer has the smallest squared error over a histogram of `Range.histogram`.

    The upper end is chosen first, then the lower.
    """
    edges = np.linspace(span.low, span.high, _BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2

    def error(candidate: Range) -> float:
        low, high, exact = _grid(candidate)
        scale = float(exact)
        quantized = np.clip(np.floor(middles / scale + 0.5), low, high) * scale
        return float(((middles - quantized) ** 2 * counts).sum())

    best = min((Range(span.low, span.high * part) for part in _SHRUNK), key=error)
    return min((Range(span.low * part, best.high) for part in _SHRUNK), key=error)


METHODS: dict[str, Callable[[Range, npt.NDArray[np.int64]], Range]] = {
    "minmax": lambda span, _counts: span,
    "mse": smallest_error,
}
"""Name -> (range of the values seen, their histogram) -> the range to quantize."""
