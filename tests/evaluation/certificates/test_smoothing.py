"""Smoothing against exact probabilities, and the binomial statements against sums of fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.evaluation.certificates.binomial import lower_bound, tail, two_sided
from stq_deploy.evaluation.certificates.smoothing import ABSTAINED, CHOOSING, Settings, certified_radius, smooth
from stq_deploy.network.noise import noise_table

PHI = NormalDist().cdf


def _exact_tail(k: int, n: int, p: Fraction) -> Fraction:
    terms = (math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    return sum(terms, Fraction(0))


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_tails_equal_sums_of_fractions(n: int) -> None:
    for k in range(n + 1):
        for p in (Fraction(1, 1000), Fraction(3, 10), Fraction(1, 2), Fraction(19, 20), Fraction(999, 1000)):
            assert tail(k, n, float(p)) == pytest.approx(float(_exact_tail(k, n, p)), rel=1e-9)


def test_a_tail_of_many_trials_equals_an_exact_sum() -> None:
    n, k = 20_000, 10_200
    term, total = math.comb(n, k), 0
    for i in range(k, n + 1):
        total += term
        term = term * (n - i) // (i + 1)
    assert tail(k, n, 0.5) == pytest.approx(float(Fraction(total, 2**n)), rel=1e-8)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [1, 9, 40])
def test_the_bound_is_the_largest_that_the_counts_exclude(n: int, confidence: float) -> None:
    excess = 1 - Fraction(confidence)
    assert lower_bound(0, n, confidence) == 0
    for k in range(1, n + 1):
        bound = lower_bound(k, n, confidence)
        assert _exact_tail(k, n, Fraction(bound)) <= excess
        assert _exact_tail(k, n, Fraction(bound) * Fraction(100_001, 100_000)) > excess


@pytest.mark.parametrize(
    ("k", "n", "confidence", "bound"),
    [
        (10, 10, 0.95, 0.05 ** (1 / 10)),  # all of them: P(X >= n) = p^n
        (1000, 1000, 0.999, 0.001 ** (1 / 1000)),
        (1, 10, 0.95, 1 - 0.95 ** (1 / 10)),  # one of them: P(X >= 1) = 1 - (1 - p)^n
        (8, 10, 0.975, 0.443904537692308),  # the usual two-sided 95 % interval of 8 in 10
    ],
)
def test_known_bounds(k: int, n: int, confidence: float, bound: float) -> None:
    assert lower_bound(k, n, confidence) == pytest.approx(bound, rel=1e-5)


def test_bounds_equal_the_beta_quantile_where_scipy_is_there() -> None:
    stats = pytest.importorskip("scipy.stats")
    for n in (10, 1000, 100_000):
        for k in (1, n // 2, n - 3, n):
            quantile = stats.beta.ppf(1 - 0.999, k, n - k + 1)
            assert quantile * (1 - 1e-5) < lower_bound(k, n, 0.999) <= quantile * (1 + 1e-12)


@pytest.mark.parametrize(("k", "n", "confidence"), [(3, 2, 0.9), (-1, 2, 0.9), (0, 0, 0.9), (1, 2, 1.0), (1, 2, 0.0)])
def test_impossible_counts_are_refused(k: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="no bound"):
        lower_bound(k, n, confidence)


def test_the_test_of_two_counts() -> None:
    assert two_sided(5, 10) == two_sided(0, 0) == 1
    assert two_sided(10, 10) == pytest.approx(2 * 0.5**10)
    assert two_sided(0, 10) == two_sided(10, 10)


def test_the_radius_rises_from_one_half() -> None:
    assert certified_radius(10, 0.5) == certified_radius(10, 0.2) == 0
    assert certified_radius(10, PHI(1.5)) == pytest.approx(15, rel=1e-5)
    assert certified_radius(10, PHI(1.5)) < 15
    assert math.isfinite(certified_radius(1, 1.0))


def _bright(x: np.ndarray) -> np.ndarray:
    """Class 1 where the sum of four pixels is above 400; a plane, so the distance to it is the true radius."""
    return (x.reshape(len(x), -1).astype(int).sum(axis=1) > 400).astype(np.int64)


def _pictures(*values: int) -> np.ndarray:
    return np.stack([np.full((2, 2, 1), value, np.uint8) for value in values])


def test_certified_radii_stay_below_the_true_distance_of_a_plane_and_come_near() -> None:
    x, sigma = _pictures(95, 98, 105, 110), 10.0
    found = smooth(Settings(sigma, 4000, 0.999), x, _bright(x), 2, _bright)
    for picture, one in zip(x, found.outcomes, strict=True):
        distance = abs(int(picture.astype(int).sum()) - 400.5) / 2  # rounded sums: the plane lies between whole numbers
        assert one.certified == one.label == one.predicted
        assert 0.75 * min(distance, 2 * sigma) < one.radius < distance
    assert found.within(0).correct == 4
    assert found.abstained == 0


def test_a_picture_on_the_edge_is_abstained_from() -> None:
    x = _pictures(100)
    (one,) = smooth(Settings(10.0, 300), x, np.array([1]), 2, _bright).outcomes
    assert (one.certified, one.radius, one.predicted) == (ABSTAINED, 0, ABSTAINED)
    assert one.probability < 0.5


def test_the_noise_distance_is_taken_off() -> None:
    x, sigma = _pictures(200), 25.0
    found = smooth(Settings(sigma, 500), x, np.array([1]), 2, _bright)
    (one,) = found.outcomes
    assert found.distance == 4 * noise_table(sigma).error > 0
    assert one.count == 500
    assert one.probability == pytest.approx(lower_bound(500, 500, 0.999) - found.distance, abs=1e-15)


def test_draws_are_those_of_the_counters_and_never_used_twice() -> None:
    x, sigma, draws = _pictures(99, 99, 120), 12.0, 70
    seen: list[np.ndarray] = []

    def classify(noisy: np.ndarray) -> np.ndarray:
        seen.append(noisy)
        return _bright(noisy)

    first = smooth(Settings(sigma, draws, seed=5), x, np.array([0, 0, 1]), 2, classify)
    pictures = np.concatenate(seen)
    assert len(pictures) == 3 * (draws + CHOOSING)
    noise = pictures.astype(int).reshape(3, -1, 4) - x.reshape(3, 1, 4)
    assert len(np.unique(noise.reshape(-1, 4), axis=0)) > 0.95 * len(pictures)
    assert abs(noise.std() - sigma) < 0.8
    assert smooth(Settings(sigma, draws, seed=5), x, np.array([0, 0, 1]), 2, _bright) == first
    assert smooth(Settings(sigma, draws, seed=6), x, np.array([0, 0, 1]), 2, _bright) != first


@pytest.mark.parametrize(
    "wrong", [{"sigma": 0.0}, {"sigma": -1.0}, {"sigma": math.nan}, {"sigma": 300.0}, {"draws": 0}, {"draws": 10**7},
              {"confidence": 1.0}, {"confidence": 0.2}, {"seed": -1}],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(StqError, match="is not possible for smoothing"):
        Settings(**({"sigma": 5.0, "draws": 10} | wrong))  # type: ignore[arg-type]


def test_the_certificate_counts_what_is_right_within_a_radius() -> None:
    x = _pictures(150, 150, 100)
    found = smooth(Settings(5.0, 200), x, np.array([1, 0, 1]), 2, _bright)
    radius = found.outcomes[0].radius
    assert found.outcomes[1].certified == 1  # sure, and wrong
    assert (found.within(0).correct, found.within(radius).correct, found.within(radius + 1e-9).correct) == (1, 1, 0)
    json = found.to_json()
    assert json["certified"]["correct"] == 1 and json["abstained"] == 1 and json["sigma"] == 5.0
    assert "1 abstained" in str(found)
