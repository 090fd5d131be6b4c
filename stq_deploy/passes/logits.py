"""Logits as int32 fixed-point numbers of one common scale, with a certified error bound."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.network.requantize import MultiplierRequantize, of_channels
from stq_deploy.passes.stages import Affine

_INT32 = 2**31
_CHUNK = 1 << 20


def certify_logits(
    affine: Affine, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]
) -> tuple[MultiplierRequantize, Fraction]:
    """Fixed-point `affine.factor[c] * acc + affine.offset[c]` for accumulators in [low[c], high[c]].

    Returns:
        The requantisation and the real value of one output step, the smallest power of two at which the logits stay
        within +-2**30 and every multiplier within int32. Its certificate holds `largest_error` in logit units, over
        every reachable accumulator.

    Raises:
        ValueError: the logits' range has no such scale.
    """
    channels = len(low)
    pairs = [affine.at(c) for c in range(channels)]
    largest_acc = max(int(np.abs(low).max()), int(np.abs(high).max()), 1)
    left = 31 - largest_acc.bit_length()
    largest = max(
        max(abs(f * int(low[c]) + o), abs(f * int(high[c]) + o), abs(o), abs(f * largest_acc))
        for c, (f, o) in enumerate(pairs)
    )
    steepest = max(abs(f) for f, _ in pairs) * Fraction(2) ** (32 - left)
    bound = max(largest / 2**29, steepest / (_INT32 - 1), Fraction(1, 2**60))
    exponent = math.ceil(math.log2(bound))
    scale = Fraction(2) ** exponent
    scale = scale * 2 if scale < bound else scale
    if scale > 2**30:
        raise ValueError("the logits are too large for fixed point")
    multiplier = np.array([round(f / scale * Fraction(2) ** (32 - left)) for f, _ in pairs], np.int64)
    # >> rounds down; half a step more makes that rounding to nearest.
    offset = np.array([math.floor(o / scale + Fraction(1, 2)) for _, o in pairs], np.int64)
    form = MultiplierRequantize(multiplier.astype(np.int32), offset.astype(np.int32), left, 0, -(2**31), 2**31 - 1)
    if not form.overflow_free(low, high):
        raise ValueError("the logits overflow int32")
    error, count, smallest, greatest = _check(form, pairs, scale, low, high)
    certificate = {
        "kind": form.kind,
        "exact": False,
        "channels": channels,
        "accumulators": count,
        "checked": count,
        "largest_error": error,
    }
    return MultiplierRequantize(form.multiplier, form.offset, left, 0, smallest, greatest, certificate), scale


def _check(
    form: MultiplierRequantize,
    pairs: list[tuple[Fraction, Fraction]],
    scale: Fraction,
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
) -> tuple[float, int, int, int]:
    """(largest error in logit units, accumulators checked, smallest level, largest level)."""
    worst, count, smallest, greatest = 0.0, 0, _INT32, -_INT32
    for c, (factor, offset) in enumerate(pairs):
        one = of_channels(form, [c])
        for start in range(int(low[c]), int(high[c]) + 1, _CHUNK):
            acc = np.arange(start, min(start + _CHUNK, int(high[c]) + 1), dtype=np.int64)
            level = one.apply(acc[:, None])[:, 0]
            exact = acc * float(factor) + float(offset)
            # Three float64 roundings of numbers below `size` enter the difference; they count as error.
            size = float(np.abs(exact).max()) + abs(float(offset))
            worst = max(worst, float(np.abs(level * float(scale) - exact).max()) + 4 * size * 2.0**-53)
            smallest, greatest = min(smallest, int(level.min())), max(greatest, int(level.max()))
            count += len(acc)
    return worst, count, smallest, greatest
