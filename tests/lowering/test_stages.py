"""Affine stages in rationals, and batch norm's definition."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from stq_deploy.lowering.stages import Affine, Monotone, batch_norm, chain, scaled, shifted


def test_chain_joins_affine_stages_only() -> None:
    joined = chain(scaled([Fraction(1, 2)]), shifted(np.array([1.0, 2.0])), Monotone("relu"), scaled([Fraction(3)]))
    assert joined == (
        Affine((Fraction(1, 2), Fraction(1, 2)), (Fraction(1), Fraction(2))),
        Monotone("relu"),
        Affine((Fraction(3),), (Fraction(0),)),
    )


def test_channels_that_agree_become_one() -> None:
    assert scaled([Fraction(1, 3)] * 5).uniform
    assert not scaled([Fraction(1, 3), Fraction(1, 4)]).uniform


def test_batch_norm_is_the_textbooks() -> None:
    rng = np.random.default_rng(1)
    gamma, beta, mean, variance = (rng.uniform(-1, 1, 50).astype(np.float32) for _ in range(4))
    variance = np.abs(variance)
    stage = batch_norm(gamma, beta, mean, variance, 1e-3)
    for c in range(50):
        factor, offset = stage.at(c)
        epsilon = float(np.float32(1e-3))
        expected = float(gamma[c]) / math.sqrt(float(variance[c]) + epsilon)
        assert math.isclose(float(factor), expected, rel_tol=4e-16)
        assert Fraction(float(factor)) == factor  # rounded once to float64, and then exact
        assert offset == Fraction(float(beta[c])) - factor * Fraction(float(mean[c]))
