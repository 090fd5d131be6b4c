"""Confidence interval of a share counted on few samples."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054
"""97.5 % point of the standard normal distribution: two-sided 95 %."""


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval for a binomial proportion; (0.0, 1.0) for no trials.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", J. Am. Stat. Assoc.
    22 (1927). It keeps its level for few samples and shares near 0 or 1; the normal interval does not.

    Args:
        successes: 0 .. trials.
        z: quantile of the standard normal distribution.

    Returns:
        (low, high), within [0, 1].

    Raises:
        ValueError: successes outside 0 .. trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    weight = 1 + z * z / trials
    center = (share + z * z / (2 * trials)) / weight
    half = z / weight * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At the ends one bound is exact in theory; rounding must not leave [0, 1].
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == trials else min(1.0, center + half)
    return low, high
