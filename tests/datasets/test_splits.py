"""The paper's third of each class."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.datasets.splits import per_class_third

# Clips of yes, no, zero .. nine in Speech Commands v0.02: Warden 2018 (arXiv:1804.03209), table 1.
PAPER_COUNTS = (4044, 3941, 4052, 3890, 3880, 3727, 3728, 4052, 3860, 3998, 3787, 3934)


def test_the_papers_numbers_come_out() -> None:
    labels = np.repeat(np.arange(12), PAPER_COUNTS)
    test = per_class_third(labels)
    assert ((~test).sum(), test.sum()) == (31_257, 15_636)


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_a_third_is_rounded_up(count: int, expected: int) -> None:
    assert per_class_third(np.repeat([5, 9], count)).reshape(2, count).sum(axis=1).tolist() == [expected] * 2


def test_it_is_drawn_by_the_seed_and_by_nothing_else() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 300)
    first = per_class_third(labels)
    np.testing.assert_array_equal(per_class_third(labels), first)
    assert (per_class_third(labels, seed=1) != first).any()
    # Other classes' samples do not change which of a class are drawn.
    np.testing.assert_array_equal(per_class_third(labels[labels == 1]), first[labels == 1])
    # Not simply the first ones, nor the same places of each class.
    assert first[:100].sum() != 100 and (first[labels == 0][:90] != first[labels == 1][:90]).any()
