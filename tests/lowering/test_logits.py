"""Fixed-point logits and their largest error."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stq_deploy.lowering import logits
from stq_deploy.lowering.logits import certify_logits
from stq_deploy.lowering.stages import Affine


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_largest_error_is_that_of_the_worst_accumulator(size: float) -> None:
    """The exhaustive look is the oracle: the certificate is calculated, and must be met at some accumulator."""
    rng = np.random.default_rng(0)
    factor = tuple(Fraction(float(v)) * Fraction(size) for v in rng.uniform(-1, 1, 6))
    offset = tuple(Fraction(float(v)) * Fraction(size) for v in rng.uniform(-100, 100, 6))
    low, high = np.full(6, -1500), np.full(6, 1700)
    found, scale = certify_logits(Affine(factor, offset), low, high)
    form = found.requantize
    acc = np.arange(-1500, 1701)[:, None] + np.zeros((1, 6), np.int64)
    levels = form.apply(acc)
    worst = max(
        abs(int(level) * scale - (int(a) * factor[c] + offset[c]))
        for c in range(6)
        for a, level in zip(acc[:, c], levels[:, c], strict=True)
    )
    certified = found.certificate.largest_error
    assert float(worst) <= certified <= float(worst) * (1 + 2**-50)
    assert worst <= Fraction(certified)
    assert certified < 2 * float(scale)
    assert found.certificate.accumulators == 6 * 3201
    assert found.certificate.checked == 6 * 64
    assert (levels.min(), levels.max()) == (form.minimum, form.maximum)
    assert form.overflow_free(low, high)
    assert max(abs(form.minimum), form.maximum) > 2**26  # the scale uses the 32 bits


def test_billions_of_accumulators() -> None:
    """Every sum that 32 bits hold, of 500 units: looked at one by one, these would take hours."""
    units = 500
    rng = np.random.default_rng(1)
    affine = Affine(
        tuple(Fraction(float(v)) for v in rng.uniform(-1e-6, 1e-6, units)),
        tuple(Fraction(float(v)) for v in rng.uniform(-9, 9, units)),
    )
    low, high = np.full(units, -(2**31)), np.full(units, 2**31 - 1)
    found, scale = certify_logits(affine, low, high)
    form = found.requantize
    assert found.certificate.accumulators == units * 2**32
    assert found.certificate.largest_error < 2 * float(scale)
    for acc in [-(2**31), -12345, 0, 1, 999_999_999, 2**31 - 1]:
        levels = form.apply(np.full((1, units), acc))[0]
        for c, level in enumerate(levels):
            exact = acc * affine.factor[c] + affine.offset[c]
            assert abs(int(level) * scale - exact) <= Fraction(found.certificate.largest_error)


def test_a_wrong_error_is_noticed_by_the_float64_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits, "largest_error", lambda *_: Fraction(0))
    with pytest.raises(ArithmeticError, match="float64"):
        certify_logits(Affine((Fraction(1, 3),), (Fraction(0),)), np.array([-100]), np.array([100]))


def test_one_channel_may_be_constant() -> None:
    found, scale = certify_logits(
        Affine((Fraction(0), Fraction(1)), (Fraction(5), Fraction(0))), np.zeros(2, int), np.ones(2, int)
    )
    levels = found.requantize.apply(np.array([[0, 0], [1, 1]])) * float(scale)
    assert np.allclose(levels, [[5, 0], [5, 1]], atol=1e-6)


def test_too_large() -> None:
    with pytest.raises(ValueError, match="too large"):
        certify_logits(Affine((Fraction(2) ** 80,), (Fraction(0),)), np.zeros(1, int), np.ones(1, int))
