"""Wilson intervals against published values, their definition and their limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.common.intervals import Z_95, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3 (score without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_no_trials_say_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_solve_the_score_equation(counts: tuple[int, int]) -> None:
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    share = successes / trials
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:
            score = abs(share - bound) / math.sqrt(bound * (1 - bound) / trials)
            assert score == pytest.approx(Z_95, rel=1e-6)


@given(st.integers(0, 50), st.integers(0, 50))
def test_mirror(successes: int, failures: int) -> None:
    low, high = wilson_interval(successes, successes + failures)
    other_low, other_high = wilson_interval(failures, successes + failures)
    assert (low, high) == pytest.approx((1 - other_high, 1 - other_low))


@pytest.mark.parametrize("counts", [(-1, 5), (6, 5)])
def test_impossible_counts(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="successes in"):
        wilson_interval(*counts)
