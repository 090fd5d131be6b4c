"""Requantization forms against Python integers, straight from the kernels' contract."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.network.requantize import (
    KeepAccumulator,
    LongRequantize,
    MultiplierRequantize,
    TableRequantize,
    ThresholdRequantize,
)

INT32 = st.integers(-(2**31), 2**31 - 1)


@given(st.integers(-(2**20), 2**20), INT32, INT32, st.integers(0, 11), st.integers(0, 31))
def test_multiplier(acc: int, multiplier: int, offset: int, left: int, right: int) -> None:
    form = MultiplierRequantize(np.array([multiplier], np.int32), np.array([offset], np.int32), left, right, -100, 90)
    # Python's shifts of negative numbers go towards minus infinity, as the contract says.
    expected = min(max((((acc << left) * multiplier >> 32) + offset) >> right, -100), 90)
    assert form.apply(np.array([[acc]])).tolist() == [[expected]]


@given(st.integers(-(2**25), 2**25), INT32, INT32, st.integers(0, 12))
def test_overflow_free_is_what_int32_holds(acc: int, multiplier: int, offset: int, left: int) -> None:
    form = MultiplierRequantize(np.array([multiplier], np.int32), np.array([offset], np.int32), left, 0, 0, 1)
    values = [acc << left, ((acc << left) * multiplier >> 32) + offset]
    fits = all(-(2**31) <= v < 2**31 for v in values)
    assert form.overflow_free(np.array([acc]), np.array([acc])) is fits


@given(INT32, INT32, INT32, st.integers(-(2**62), 2**62), st.integers(0, 62))
def test_long(acc: int, multiplier: int, fraction: int, offset: int, shift: int) -> None:
    words = (np.array([word], np.int32) for word in (multiplier, fraction))
    ends = (np.array([end], np.int32) for end in (-(2**15), 2**15 - 1))
    form = LongRequantize(*words, np.array([offset], np.int64), np.array([shift], np.int8), *ends)
    factor = (multiplier << 32) + fraction
    total = (acc * factor >> 32) + offset
    fits = -(2**63) <= (acc * factor >> 32) < 2**63 and -(2**63) <= total < 2**63
    assert form.overflow_free(np.array([acc]), np.array([acc])) is fits
    if fits:
        assert form.apply(np.array([[acc]])).tolist() == [[min(max(total >> shift, -(2**15)), 2**15 - 1)]]
    assert form.rises(np.array([1]), np.array([0]), np.array([1])) is (factor >= 0)
    assert form.rises(np.array([-1]), np.array([0]), np.array([1])) is (factor <= 0)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9), st.sampled_from([-1, 1]), st.integers(-60, 60))
def test_threshold_counts(thresholds: list[int], sign: int, acc: int) -> None:
    form = ThresholdRequantize(np.array([sorted(thresholds)], np.int32), np.array([sign], np.int8), -3)
    assert form.apply(np.array([[acc]])).tolist() == [[-3 + sum(sign * acc >= t for t in thresholds)]]
    assert form.maximum == -3 + len(thresholds)


def test_tables_shared_and_per_channel() -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
    acc = np.array([[-1, 1], [0, -1]])
    assert TableRequantize(rows, -1, 2).apply(acc).tolist() == [[1, 6], [2, 4]]
    assert TableRequantize(rows[:1], -1, 2).apply(acc).tolist() == [[1, 3], [2, 1]]
    for outside in (-2, 2):
        with pytest.raises(IndexError):
            TableRequantize(rows, -1, 2).apply(np.array([[outside, 0]]))


def test_keep() -> None:
    acc = np.array([[-1000, 5]])
    assert KeepAccumulator(2, -1000, 5).apply(acc) is acc
