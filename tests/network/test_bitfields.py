"""Packed bit fields: round trip, size, order, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.network.bitfields import pack_bits, unpack_bits


@given(st.data(), st.integers(1, 8))
def test_round_trip(data: st.DataObject, bits: int) -> None:
    half = 2 ** (bits - 1)
    values = np.array(data.draw(st.lists(st.integers(-half, half - 1), max_size=70)), np.int64)
    packed = pack_bits(values, bits)
    assert packed.dtype == np.uint8
    assert len(packed) == -(-len(values) * bits // 8)
    assert unpack_bits(packed, bits, len(values)).tolist() == values.tolist()


def test_order_is_little_endian_from_the_lowest_bit() -> None:
    assert pack_bits(np.array([1, -1, 0, -2]), 2).tolist() == [0b10_00_11_01]
    assert pack_bits(np.array([7, -8, 1]), 4).tolist() == [0x87, 0x01]
    assert pack_bits(np.array([3, -4, 1]), 3).tolist() == [0b01_100_011, 0]
    assert pack_bits(np.array([-128, 127]), 8).tolist() == [0x80, 0x7F]


@pytest.mark.parametrize(("value", "bits"), [(2, 2), (-3, 2), (8, 4), (-9, 4), (128, 8), (1, 1)])
def test_what_does_not_fit_is_refused(value: int, bits: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        pack_bits(np.array([0, value]), bits)


@pytest.mark.parametrize(("size", "count"), [(1, 5), (2, 4), (0, 1), (1, 0)])
def test_wrong_length_is_refused(size: int, count: int) -> None:
    with pytest.raises(ValueError, match="do not hold exactly"):
        unpack_bits(np.zeros(size, np.uint8), 2, count)


def test_shape_is_flattened_in_c_order() -> None:
    values = np.array([[1, 0], [-1, 1]])
    assert pack_bits(values, 2).tolist() == pack_bits(values.reshape(-1), 2).tolist()
