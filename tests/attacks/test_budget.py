"""Stored samples stay inside the budget that is claimed for them, in every norm, and use it as far as they can."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.research.attacks.budget import NORMS, Budget
from stq_deploy.research.attacks.grid import PIXELS, UNROUNDED, Grid, feature_grid


def _pixels(seed: int, count: int = 8) -> np.ndarray:
    return (np.random.default_rng(seed).integers(0, 256, (count, 5, 4, 1)) / np.float32(255)).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(sorted(NORMS)), st.floats(0.5, 40), st.floats(0.1, 3))
def test_what_is_stored_is_a_picture_inside_the_budget(seed: int, norm: str, levels: float, reach: float) -> None:
    random = np.random.default_rng(seed)
    x = _pixels(seed)
    eps = levels / 255
    budget = Budget.of_pixels(norm, eps)
    moved = x + random.standard_normal(x.shape) * eps * reach
    stored = budget.store(budget.project(moved, x, PIXELS), x, PIXELS)
    whole = np.rint(stored.astype(np.float64) * 255)
    np.testing.assert_array_equal(stored, (whole / np.float32(255)).astype(np.float32))
    change = (whole - np.rint(x * 255)).reshape(len(x), -1)
    assert whole.min() >= 0 and whole.max() <= 255
    assert np.linalg.norm(change, NORMS[norm], axis=1).max() <= levels * (1 + 1e-9)


@pytest.mark.parametrize(("eps", "largest"), [(0.05, 12), (0.5 / 255, 0), (1.5 / 255, 1), (8 / 255, 8), (1 / 255, 1)])
def test_linf_budgets_off_the_grid_are_rounded_down(eps: float, largest: int) -> None:
    """Rounding to the nearest once turned 0.05 into 13/255 and 0.5/255 into 1/255."""
    x = np.full((1, 3, 3, 1), 100 / 255, np.float32)
    stored = Budget.of_pixels("inf", eps).store(x + eps, x, PIXELS)
    assert np.rint((stored - x) * 255).max() == largest


def test_in_l2_as_few_values_as_needed_are_rounded_inwards() -> None:
    x = np.zeros((1, 1, 4, 1), np.float32)
    moved = np.array([3.6, 2.55, 2.9, 1.2]).reshape(x.shape) / 255
    budget = Budget.of_pixels("2", float(np.linalg.norm(moved)))
    stored = np.rint(budget.store(moved, x, PIXELS) * 255).ravel()
    # All rounded to the nearest, 4 3 3 1 has length 5.92; the budget is 5.43. 4 2 3 1 has 5.48, so one more goes back.
    assert stored.tolist() == [4, 2, 2, 1]


def test_the_l1_projection_is_the_nearest_point() -> None:
    random = np.random.default_rng(1)
    x = np.full((1, 6), 0.5, np.float32)
    moved = x + random.standard_normal((1, 6)) * 0.2
    budget = Budget.of_pixels("1", 0.3)
    nearest = budget.project(moved, x, UNROUNDED)
    assert budget.distance(nearest, x)[0] == pytest.approx(0.3)
    distance = np.linalg.norm(nearest - moved)
    for _ in range(300):  # no other point of the ball is nearer
        other = random.standard_normal((1, 6))
        other = x + 0.3 * other / np.abs(other).sum()
        assert np.linalg.norm(other - moved) >= distance - 1e-12


def test_units_of_features() -> None:
    x = np.zeros((1, 2), np.float32)
    budget = Budget("inf", 0.5, np.array([2.0, 10.0]))
    grid = Grid(-100.0, 100.0, 0.25)
    assert budget.project(np.array([[9.0, 9.0]]), x, grid).tolist() == [[1.0, 5.0]]
    assert budget.distance(np.array([[1.0, 2.5]]), x).tolist() == [0.5]
    assert budget.store(np.array([[0.9, 4.9]]), x, grid).tolist() == [[1.0, 5.0]]


def test_a_feature_grid_holds_the_levels_of_the_input() -> None:
    grid = feature_grid(TensorType((3,), "int8", -8, 7, 0.5, -2))
    assert (grid.low, grid.high) == (-3.0, 4.5)
    assert grid.nearest(np.array([-9.0, 0.3, 1.26])).tolist() == [-3.0, 0.5, 1.5]


def test_floats_are_stored_as_they_are() -> None:
    x = np.full((1, 8), 0.25, np.float32)
    budget = Budget.of_pixels("2", 0.1)
    moved = budget.project(x + 0.3, x, UNROUNDED)
    stored = budget.store(moved, x, UNROUNDED)
    assert stored.dtype == np.float32
    assert 0.1 * (1 - 1e-6) <= budget.distance(stored, x)[0] <= 0.1


@pytest.mark.parametrize("norm", ["inf", "1", "2"])
@pytest.mark.parametrize("eps", [1e-5, 0.001, 0.0039, 0.03])
def test_stored_floats_never_leave_a_small_budget(norm: str, eps: float) -> None:
    """Near 1 float32 has steps of 6e-8: a two-hundredth of the smallest budget here."""
    random = np.random.default_rng(1)
    x = random.uniform(0.5, 1, (8, 6, 6, 1)).astype(np.float32)
    budget = Budget.of_pixels(norm, eps)
    moved = budget.project(x + 10 * eps * random.choice([-1.0, 1.0], x.shape), x, UNROUNDED)
    stored = budget.store(moved, x, UNROUNDED)
    change = (stored.astype(np.float64) - x).reshape(8, -1)
    size = np.linalg.norm(change, {"inf": np.inf, "1": 1, "2": 2}[norm], axis=1)
    assert (size <= eps * (1 + 1e-9)).all() and (size > 0.8 * eps).all()
    budget.check_stored(stored, x, UNROUNDED, "test")


def test_a_budget_of_one_level_is_measured_in_levels() -> None:
    """float32 holds no multiple of 1/255, so differences of neighbours lie on both sides of 1/255."""
    levels = np.arange(255, dtype=np.float32)[:, None]
    x, up = levels / np.float32(255), (levels + 1) / np.float32(255)
    assert (up.astype(np.float64) - x).max() > (1 + 1e-6) / 255
    for norm in ("inf", "1", "2"):
        Budget.of_pixels(norm, 1 / 255).check_stored(up, x, PIXELS, "test")
        with pytest.raises(StqError, match="more than the budget"):
            Budget.of_pixels(norm, 0.999999 / 255).check_stored(up, x, PIXELS, "test")
