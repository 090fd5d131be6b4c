"""Exact binomial statements: Clopper and Pearson's bound, and the test between two counts.

C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934). Everything rests on
the binomial tail P(X >= k), summed term by term; the bound is rounded to the safe side.
"""

from __future__ import annotations

import math

MOST_TRIALS = 1_000_000
_SLACK = 1e-6
"""Relative error of a tail, at most: of `lgamma` at up to a million trials, ten times over. Bounds give way by it."""
_HALVINGS = 200


def tail(k: int, n: int, p: float) -> float:
    """P(X >= k), X binomial of n trials with probability p; to a relative error below 1e-6 for n up to `MOST_TRIALS`.

    Raises:
        ValueError: k outside 0 .. n, or p outside 0 .. 1.
    """
    if not 0 <= k <= n or not 0 <= p <= 1:
        raise ValueError(f"no tail of {k} of {n} with probability {p}")
    if k == 0 or p == 1:
        return 1.0
    if p == 0:
        return 0.0
    if k <= n * p:  # the other tail is the shorter one
        return 1.0 - _falling_sum(n - k + 1, n, 1 - p, p)
    return _falling_sum(k, n, p, 1 - p)


def lower_bound(k: int, n: int, confidence: float) -> float:
    """The p that k or more of n successes exclude below: with this confidence the true probability is higher.

    It is the largest p with P(X >= k) <= 1 - confidence, less a relative 1e-6.

    Args:
        confidence: between 0 and 1, one-sided.

    Raises:
        ValueError: k outside 0 .. n, no trials, or a confidence outside (0, 1).
    """
    if n < 1 or not 0 <= k <= n or not 0 < confidence < 1:
        raise ValueError(f"no bound for {k} of {n} with confidence {confidence}")
    if k == 0:
        return 0.0
    excess = 1 - confidence
    low, high = 0.0, k / n
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if tail(k, n, middle) <= excess * (1 - _SLACK):
            low = middle
        else:
            high = middle
    return low * (1 - _SLACK)


def two_sided(k: int, n: int) -> float:
    """P-value of k of n against probability 1/2, both sides; 1 for no trials.

    The test of the largest against the second largest count (Hung and Fithian 2019, arXiv:1610.08087).
    """
    if n == 0:
        return 1.0
    return min(1.0, 2 * tail(max(k, n - k), n, 0.5))


def _falling_sum(k: int, n: int, p: float, q: float) -> float:
    """P(X >= k) from its largest term on, for k above the mean: each term is a known multiple of the one before."""
    largest = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log(q)
    term = total = 1.0
    for i in range(k, n):
        term *= (n - i) / (i + 1) * (p / q)
        total += term
        if term < total * 1e-18:
            break
    return math.exp(largest) * total
