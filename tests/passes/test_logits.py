"""Fixed-point logits and their error bound."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stq_deploy.passes.logits import certify_logits
from stq_deploy.passes.stages import Affine


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4])
def test_error_is_within_the_certificate_everywhere(size: float) -> None:
    rng = np.random.default_rng(0)
    factor = tuple(Fraction(float(v)) * Fraction(size) for v in rng.uniform(-1, 1, 6))
    offset = tuple(Fraction(float(v)) * Fraction(size) for v in rng.uniform(-100, 100, 6))
    low, high = np.full(6, -1500), np.full(6, 1700)
    form, scale = certify_logits(Affine(factor, offset), low, high)
    acc = np.arange(-1500, 1701)[:, None] + np.zeros((1, 6), np.int64)
    levels = form.apply(acc)
    worst = max(
        abs(int(levels[i, c]) * scale - (int(acc[i, c]) * factor[c] + offset[c]))
        for c in range(6)
        for i in range(0, len(acc), 7)
    )
    assert worst <= Fraction(form.certificate["largest_error"])
    assert form.certificate["largest_error"] < 2 * float(scale)
    assert form.certificate["checked"] == 6 * 3201
    assert (levels.min(), levels.max()) == (form.minimum, form.maximum)
    assert form.overflow_free(low, high)
    assert max(abs(form.minimum), form.maximum) > 2**26  # the scale uses the 32 bits


def test_one_channel_may_be_constant() -> None:
    form, scale = certify_logits(
        Affine((Fraction(0), Fraction(1)), (Fraction(5), Fraction(0))), np.zeros(2, int), np.ones(2, int)
    )
    levels = form.apply(np.array([[0, 0], [1, 1]])) * float(scale)
    assert np.allclose(levels, [[5, 0], [5, 1]], atol=1e-6)


def test_too_large() -> None:
    with pytest.raises(ValueError, match="too large"):
        certify_logits(Affine((Fraction(2) ** 80,), (Fraction(0),)), np.zeros(1, int), np.ones(1, int))
