"""Fixed-point numbers: their certified error holds for every accumulator, and no power of two is missed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.lowering.fixed_point import fixed_point, power_of_two
from stq_deploy.lowering.stages import Affine, Clip, run_stage

REAL = st.fractions(-100, 100, max_denominator=10**6)
CHANNEL = st.tuples(REAL, REAL, st.integers(-5000, 0), st.integers(0, 5000))
BOUND = st.none() | st.fractions(-50, 50, max_denominator=1000)


@given(st.lists(CHANNEL, min_size=1, max_size=3), BOUND, BOUND)
def test_the_error_is_certified(
    channels: list[tuple[Fraction, Fraction, int, int]], low: Fraction | None, high: Fraction | None
) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    affine = Affine(tuple(f for f, *_ in channels), tuple(o for _, o, *_ in channels))
    clip = Clip(low, high)
    least, most = (np.array([c[i] for c in channels], np.int64) for i in (2, 3))
    step = power_of_two(Fraction(10**6, 2**28))
    found = fixed_point(affine, clip, least, most, step)
    form = found.requantize
    for acc in (least, most, (least + most) // 2, least // 3):
        levels = form.apply(acc[None])[0]
        for c, level in enumerate(levels.tolist()):
            exact = run_stage(clip, c, run_stage(affine, c, Fraction(int(acc[c]))))
            assert abs(level * step - exact) <= Fraction(found.certificate.largest_error) * (1 + Fraction(1, 2**50))
            assert form.minimum <= level <= form.maximum
    assert found.certificate.largest_error < float(step)


@given(st.fractions(min_value=Fraction(1, 2**50), max_value=2**40))
def test_power_of_two(bound: Fraction) -> None:
    step = power_of_two(bound)
    assert step >= bound > step / 2
    assert step.numerator == 1 or step.denominator == 1
    assert int(step if step >= 1 else 1 / step).bit_count() == 1


def test_what_is_too_large() -> None:
    ends = np.array([-(2**31)]), np.array([2**31 - 1])
    with pytest.raises(ValueError, match="too large"):
        fixed_point(Affine((Fraction(1),), (Fraction(0),)), Clip(None, None), *ends, Fraction(1, 2**20))
    with pytest.raises(ValueError, match="too large"):
        fixed_point(Affine((Fraction(2**40),), (Fraction(0),)), Clip(None, None), *ends, Fraction(1))


def test_what_is_always_the_same_needs_no_factor() -> None:
    """As where a branch's weights are all 0, or a ReLU takes all of it: its bound, and so the step, is then tiny."""
    step = Fraction(1, 2**88)
    zero = np.zeros(2, np.int64)
    affine = Affine((Fraction(3), Fraction(-3)), (Fraction(0), Fraction(1, 2**62)))
    found = fixed_point(affine, Clip(None, None), zero, zero, step)
    form = found.requantize
    assert form.apply(zero[None]).tolist() == [[0, 2**26]]
    assert found.certificate.largest_error == 0.5 / 2**88
    with pytest.raises(ValueError, match="too large"):
        fixed_point(affine, Clip(None, None), zero, zero + 1, step)
    negative = Affine((Fraction(3), Fraction(-3)), (Fraction(-100), Fraction(-1)))
    found = fixed_point(negative, Clip(Fraction(0), None), zero, zero + 30, step)
    form = found.requantize
    assert form.apply(np.array([[7, 30]])).tolist() == [[0, 0]]
