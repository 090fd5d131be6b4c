"""Packing against words worked out by hand from `stq_nn.h`, and against its own inverse."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.network.ops import Convolve, Dense, DepthwiseConvolve, WeightedOp, Window
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.program.kernels.choice import families_of
from stq_deploy.program.kernels.weighted import Weighted
from stq_deploy.program.rows import pack_rows, unpack_rows
from stq_deploy.program.weights import layout_of, pack_weights, weight_offset
from tests.helpers.networks import random_network

# (weights, bits, offset, words). Element 2j lies in bits [b*j, b*j+b), element 2j+1 in [16+b*j, 16+b*j+b).
BY_HAND = [
    (
        [1, -1, 0, 1],
        2,
        1,
        [0x5558_5556],
    ),  # fields 2 0 1 2, then 1s: low 2,1,1.. = 0x5556, high 0,2,1.. = 0x5558
    (
        [-2, -1, 0, 1],
        2,
        2,
        [0xAAAD_AAA8],
    ),  # fields 0 1 2 3, then 2s: low 0,2,2.. = 0xaaa8, high 1,3,2.. = 0xaaad
    ([-8, 7, -1, 0], 4, 8, [0x888F_8870]),  # fields 0 15 7 8, then 8s: low 0x8870, high 0x888f
    ([-128, 127, -1, 1], 8, 0, [0x017F_FF80]),  # low 0x80 0xff, high 0x7f 0x01
    ([5], 8, 0, [0x0000_0005]),
    ([0] * 16 + [-1], 2, 1, [0x5555_5555, 0x5555_5554]),  # the seventeenth begins a word
    ([1, 0, 0, 1], 1, 0, [0x0002_0001]),  # elements 0 and 3: bits 0 and 16 + 1
    ([1, -1, 1, 1], 1, 1, [0x0004_0006]),  # elements 0, 2 and 3: bits 0 + 1, 1 + 1 and 16 + 1 + 1
    ([-1] * 30 + [1, 1, 1], 1, 1, [0x0001_0001, 0x0000_0002]),  # elements 30, 31, 32: bits 16, 32 mod 32; 1 of the next
    ([-1] * 33, 1, 1, [0, 0]),
    ([-32768, 32767, 5], 16, 0, [0x7FFF_8000, 0x0000_0005]),
]

CODES = [(1, 0), (1, 1), (2, 1), (2, 2), (4, 8), (8, 0), (16, 0)]
"""Every pair of width and offset that the kernels know."""


@pytest.mark.parametrize(("weights", "bits", "offset", "words"), BY_HAND)
def test_words_by_hand(weights: list[int], bits: int, offset: int, words: list[int]) -> None:
    assert pack_rows(np.array([weights]), bits, offset).tolist() == [words]
    assert unpack_rows(np.array([words], np.uint32), bits, offset, len(weights)).tolist() == [weights]


@given(st.data(), st.sampled_from(CODES), st.integers(0, 5), st.integers(0, 70))
def test_unpack_inverts_pack(data: st.DataObject, code: tuple[int, int], rows: int, columns: int) -> None:
    bits, offset = code
    low = -offset or -(2 ** (bits - 1))
    values = st.sampled_from([-offset, 1]) if bits == 1 else st.integers(low, low + 2**bits - 1)
    flat = data.draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
    weights = np.array(flat, np.int16).reshape(rows, columns)
    words = pack_rows(weights, bits, offset)
    assert words.dtype == np.uint32
    assert words.shape == (rows, -(-columns * bits // 32))
    assert np.array_equal(unpack_rows(words, bits, offset, columns), weights)


@given(st.sampled_from([code for code in CODES if code[0] > 1]), st.integers(1, 40))
def test_padding_stands_for_weight_zero(code: tuple[int, int], columns: int) -> None:
    bits, offset = code
    words = pack_rows(np.full((2, columns), -1), bits, offset)
    whole = unpack_rows(words, bits, offset, words.shape[1] * 32 // bits)
    assert (whole[:, :columns] == -1).all()
    assert (whole[:, columns:] == 0).all()


NO_FIELD = [
    (-1, 1, 0), (2, 1, 0), (0, 1, 1), (2, 1, 1), (-2, 1, 1), (3, 2, 1), (-2, 2, 1), (2, 2, 2), (8, 4, 8), (-9, 4, 8),
    (128, 8, 0), (-129, 8, 0), (32768, 16, 0), (-32769, 16, 0),
]  # fmt: skip


@pytest.mark.parametrize(("weight", "bits", "offset"), NO_FIELD)
def test_weights_without_a_field_are_refused(weight: int, bits: int, offset: int) -> None:
    with pytest.raises(ValueError, match="has no field"):
        pack_rows(np.array([[1, weight]]), bits, offset)


def test_odd_field_widths_and_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="8 or 16 bits, not 3"):
        pack_rows(np.zeros((1, 1), np.int8), 3, 0)
    with pytest.raises(ValueError, match="offset 0 or 1, not 2"):
        pack_rows(np.zeros((1, 1), np.int8), 1, 2)
    with pytest.raises(ValueError, match="do not take 2 words"):
        unpack_rows(np.zeros((1, 2), np.uint32), 2, 1, 16)


OFFSETS = [
    ([-1, 0, 1], 2, 1), ([0, 1], 2, 1), ([-2, 1], 2, 2), ([-1, 1], 4, 8), ([-1, 1], 8, 0), ([-1, 300], 16, 0),
    ([-1, 1], 1, 1), ([-1, -1], 1, 1), ([0, 1], 1, 0), ([0, 0], 1, 0), ([1, 1], 1, 0),
]  # fmt: skip


@pytest.mark.parametrize(("weights", "bits", "offset"), OFFSETS)
def test_weight_offset(weights: list[int], bits: int, offset: int) -> None:
    assert weight_offset(np.array(weights, np.int16), bits) == offset


def weight_rows(op: WeightedOp) -> npt.NDArray[np.int64]:
    spec = families_of(op)[0]
    assert isinstance(spec, Weighted)
    return spec.rows(op)


def test_row_order_is_the_kernels() -> None:
    keep = KeepAccumulator(2, 0, 0)
    window = Window((2, 1))
    # Keras layout (kernel row, kernel column, input channel, output channel): 0..11 over (2, 1, 3, 2).
    convolve = Convolve("c", ("x",), "y", (), np.arange(12, dtype=np.int8).reshape(2, 1, 3, 2), 8, keep, window)
    assert weight_rows(convolve).tolist() == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]
    # Keras layout (kernel row, kernel column, input channel, multiplier): a row per tap, channel c * 2 + m.
    depthwise = DepthwiseConvolve("d", ("x",), "y", (), convolve.weights, 8, keep, window)
    assert weight_rows(depthwise).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    dense = Dense("f", ("x",), "y", (), np.arange(6, dtype=np.int8).reshape(3, 2), 8, keep)
    assert weight_rows(dense).tolist() == [[0, 2, 4], [1, 3, 5]]


def test_layout_foretells_the_packed_size() -> None:
    seen = set()
    for op in (op for seed in range(12) for op in random_network(seed).ops if isinstance(op, WeightedOp)):
        rows = weight_rows(op)
        layout = layout_of(rows, op.weight_bits)
        words = pack_weights(rows, layout)
        assert words.nbytes == layout.bytes
        assert np.array_equal(unpack_rows(words, layout.bits, layout.offset, layout.columns), rows)
        seen.add((op.kind, layout.bits))
    assert len(seen) >= 12
