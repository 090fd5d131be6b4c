"""From ranges to quantizers: zero is a level, both ends are reached, scales are short, the error is the smallest."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.lowering.float_evaluation import quantized_level
from stq_deploy.lowering.ranges import METHODS, Range, coarse_grid, finest_grid, smallest_error
from stq_deploy.lowering.step_function import step_function


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-42, 1e-40, 1e-37, 1e-36])
@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_float32_cannot_tell_from_0(value: float, sign: int) -> None:
    """A dead layer's: their range is 0 to 0, and every method takes it."""
    values = np.array([0, sign * value, 0], np.float32)
    span = Range.of(values)
    assert span == Range(0.0, 0.0)
    for method in METHODS.values():
        assert coarse_grid(method(span, span.histogram(values))).parameters["scale"] == "1"


@pytest.mark.parametrize("value", [1e-34, 1e-20, 1.0, 1e30])
def test_values_however_small_or_large(value: float) -> None:
    values = np.array([-value, 0, value / 3, value], np.float32)
    span = Range.of(values)
    assert span.histogram(values).sum() == 3
    for method in METHODS.values():
        assert method(span, span.histogram(values)).high == pytest.approx(value, rel=0.5)


END = st.floats(0, 2.0**20, width=32).map(lambda v: v if v > 2.0**-20 else 0.0)


@given(END, END)
def test_levels_reach_both_ends_and_are_256_at_most(below: float, above: float) -> None:
    span = Range(-below, above)
    for grid in (finest_grid, coarse_grid):
        steps = step_function(grid(span))
        assert steps.minimum <= 0 <= steps.maximum
        assert steps.maximum - steps.minimum <= 255
        step = steps.step
        assert steps.minimum * step - step / 2 <= Fraction(-below)
        assert Fraction(above) <= steps.maximum * step + step / 2
    if below or above:
        scale = step_function(coarse_grid(span)).step
        assert scale.numerator < 256 or (scale.numerator / 2.0 ** (scale.numerator.bit_length() - 8)).is_integer()
        assert 1 <= scale / step_function(finest_grid(span)).step <= 1 + Fraction(1, 128)


@pytest.mark.parametrize(
    ("low", "high", "levels", "scale"),
    [
        (0.0, 1.0, (0, 255), Fraction(1, 255)),
        (0.0, 255.0, (0, 255), Fraction(1)),
        (-1.0, 1.0, (-127, 127), Fraction(1, 127)),
        (-1.0, 127 / 128, (-128, 127), Fraction(1, 128)),
        (0.0, 255 / 256, (0, 255), Fraction(1, 256)),
        (-2.0, 0.0, (-255, 0), Fraction(2, 255)),
        (-1e-6, 1.0, (0, 254), Fraction(1, 254)),
        (0.0, 0.0, (0, 255), Fraction(1)),
    ],
)
def test_known_ranges(low: float, high: float, levels: tuple[int, int], scale: Fraction) -> None:
    steps = step_function(finest_grid(Range(low, high)))
    assert (steps.minimum, steps.maximum, steps.step) == (*levels, scale)


def squared_error(span: Range, values: np.ndarray) -> float:
    grid = finest_grid(span)
    quantized = quantized_level(grid, values) * float(step_function(grid).step)
    return float(((values - quantized) ** 2).mean())


@pytest.mark.parametrize(
    "values",
    [
        np.maximum(np.random.default_rng(0).normal(0, 1, 50_000), 0),
        np.random.default_rng(1).laplace(0.5, 1, 50_000),
        np.append(np.random.default_rng(2).uniform(-1, 1, 50_000), [3.0, -9.0]),
        np.repeat([0.0, 1.0, 2.0], 100),
    ],
    ids=["relu", "laplace", "outliers", "few"],
)
def test_least_error_is_the_least(values: np.ndarray) -> None:
    span = Range.of(values)
    found = smallest_error(span, span.histogram(values))
    assert span.low <= found.low <= 0 <= found.high <= span.high
    parts = np.linspace(0.2, 1, 33)
    best = min(squared_error(Range(span.low * a, span.high * b), values) for a in parts for b in parts)
    assert squared_error(found, values) <= best * 1.03 + 1e-12
    assert METHODS["minmax"](span, span.histogram(values)) is span


def test_histograms_of_batches_add_up() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    span = Range.of(values).union(Range(-9.0, 0.0))
    assert span.low == -9.0
    assert np.array_equal(span.histogram(values[:300]) + span.histogram(values[300:]), span.histogram(values))
    assert span.histogram(np.zeros(5)).sum() == 0
