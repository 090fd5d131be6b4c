"""Fixed-point logits whose sign decides are positive exactly where the logits are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stq_deploy.lowering.logits import certify_logits
from stq_deploy.lowering.signs import sign_shift
from stq_deploy.lowering.stages import Affine

LOW, HIGH = -700, 900


def _signs_of_levels(factor: Fraction, offset: Fraction) -> tuple[np.ndarray, np.ndarray, dict]:
    low, high = np.array([LOW]), np.array([HIGH])
    found, _ = certify_logits(Affine((factor,), (offset,)), low, high, signs=True)
    form = found.requantize
    acc = np.arange(LOW, HIGH + 1)
    exact = np.array([factor * int(a) + offset > 0 for a in acc])
    return form.apply(acc[:, None])[:, 0] > 0, exact, found.certificate


@pytest.mark.parametrize("factor", [Fraction(1, 3), Fraction(-7, 11), Fraction(1, 10**6), Fraction(-12345)])
@pytest.mark.parametrize("at", [-700, -699, -1, 0, 1, 899, 900, 901, -5000])
@pytest.mark.parametrize("beside", [Fraction(0), Fraction(1, 10**12), Fraction(-1, 10**12), Fraction(1, 2)])
def test_the_sign_is_the_logit_s(factor: Fraction, at: int, beside: Fraction) -> None:
    """The logit is 0 at an accumulator, just beside one, or midway between two."""
    found, exact, certificate = _signs_of_levels(factor, -factor * (at + beside))
    np.testing.assert_array_equal(found, exact)
    assert certificate.exact_signs is True


@pytest.mark.parametrize("offset", [Fraction(0), Fraction(1, 10**15), Fraction(-1, 10**15), Fraction(3)])
def test_a_constant_has_its_sign(offset: Fraction) -> None:
    found, exact, _ = _signs_of_levels(Fraction(0), offset)
    np.testing.assert_array_equal(found, exact)


def test_levels_that_rise_too_slowly_are_said_to() -> None:
    """A level is 2**32 accumulators: those on both sides of 0 have the same."""
    assert sign_shift((Fraction(1), Fraction(5, 2)), (1, 0, 0), -5, -1) is None
    assert sign_shift((Fraction(1), Fraction(1, 2)), (1 << 30, 0, 2), -2, 2) == 1


def test_without_it_some_signs_are_wrong() -> None:
    """What it mends: a logit that is barely positive rounds to 0."""
    low, high = np.array([LOW]), np.array([HIGH])
    affine = Affine((Fraction(1, 3),), (Fraction(1, 10**12),))
    found, _ = certify_logits(affine, low, high)
    assert found.requantize.apply(np.array([[0]]))[0, 0] == 0
