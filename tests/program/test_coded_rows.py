"""Trits and gaps against words worked out by hand from `stq_nn.h`, their own inverse, and an independent packer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.program.coded_rows import (
    MAXIMUM_GAP_BITS,
    best_gap_bits,
    pack_gaps,
    pack_trits,
    unpack_gaps,
    unpack_trits,
)
from stq_deploy.program.weights import layout_of, may_be_coded, pack_weights
from tests.helpers.kernels import golden

TRITS_BY_HAND = [
    ([], []),
    ([-1] * 20, [0]),
    ([1] * 20, [0xFFFF_FFFF]),
    ([1, *[-1] * 19], [0xAAAA_AAAB]),  # digits 2 0 0 ...: 2/3 of 2^32, rounded up
    ([1], [0xD555_5555]),  # digits 2 1 1 1 ...: 2/3 + 1/6 less 3^-20 / 2 of 2^32, rounded up
    ([0] * 20 + [-1, 1, *[-1] * 18], [0x8000_0000, 0x38E3_8E39]),  # 1/2 less 3^-20 / 2; 2/9 of 2^32
]
GAPS_BY_HAND = [
    ([], 0, [0]),
    ([0] * 99, 3, [0]),
    ([1, -1, 0, 0, 1], 0, [0b0_1_00_1_1_0_1, 0]),  # from the right: 1 0, 1 1, 00 1 0
    ([0, 0, 0, -1, 0, 1], 1, [0b0_1_1_1_1_1_0, 0]),  # 3 = 0 1, low bit 1, minus; 1: 1, low bit 1, plus
    ([0] * 40 + [-1], 0, [0, 0x0000_0300, 0]),  # 40 zeros, 1, 1
    ([0] * 30 + [1], 0, [0x4000_0000, 0]),  # the code ends with its word
    ([0] * 21 + [-1], 3, [0b1_101_1_00, 0]),  # 21 is 2 * 8 + 5
]

shares = st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0])
shapes = st.tuples(st.integers(0, 7), st.integers(0, 130))


def ternary(seed: int, shape: tuple[int, int], share: float) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.choice([-1, 1], shape), 0).astype(np.int8)


@pytest.mark.parametrize(("weights", "words"), TRITS_BY_HAND)
def test_trits_by_hand(weights: list[int], words: list[int]) -> None:
    assert pack_trits(np.array(weights, np.int8)).tolist() == words
    assert unpack_trits(np.array(words, np.uint32), len(weights)).tolist() == weights


@pytest.mark.parametrize(("weights", "gap_bits", "words"), GAPS_BY_HAND)
def test_gaps_by_hand(weights: list[int], gap_bits: int, words: list[int]) -> None:
    assert pack_gaps(np.array(weights, np.int8), gap_bits).tolist() == words
    assert unpack_gaps(np.array(words, np.uint32), gap_bits, len(weights)).tolist() == weights


@given(st.integers(0, 1 << 30), shapes, shares)
def test_trits_and_back(seed: int, shape: tuple[int, int], share: float) -> None:
    weights = ternary(seed, shape, share)
    words = pack_trits(weights)
    assert words.dtype == np.uint32 and len(words) == -(-weights.size // 20)
    assert np.array_equal(unpack_trits(words, weights.size).reshape(shape), weights)
    assert np.array_equal(words, golden.pack_trits(weights.astype(np.int64)))


@given(st.integers(0, 1 << 30), shapes, shares, st.integers(0, MAXIMUM_GAP_BITS))
def test_gaps_and_back(seed: int, shape: tuple[int, int], share: float, gap_bits: int) -> None:
    weights = ternary(seed, shape, share)
    words = pack_gaps(weights, gap_bits)
    assert words.dtype == np.uint32 and words[-1] == 0
    assert np.array_equal(unpack_gaps(words, gap_bits, weights.size).reshape(shape), weights)
    assert np.array_equal(words, golden.pack_gaps(weights.astype(np.int64), gap_bits))
    best, best_words = best_gap_bits(weights)
    assert best_words == len(pack_gaps(weights, best)) <= len(words)


@given(st.integers(0, 1 << 30), st.integers(1, 40), st.integers(0, MAXIMUM_GAP_BITS), st.integers(0, 3000))
def test_any_words_stand_for_some_weights(seed: int, length: int, gap_bits: int, count: int) -> None:
    words = np.random.default_rng(seed).integers(0, 1 << 32, length).astype(np.uint32)
    gaps = unpack_gaps(words, gap_bits, count)
    trits = unpack_trits(words, min(count, 20 * length))
    assert set(gaps.tolist()) | set(trits.tolist()) <= {-1, 0, 1}


@pytest.mark.parametrize("weight", [-2, 2, 127])
def test_other_weights_are_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="-1, 0 and 1"):
        pack_trits(np.array([0, weight]))
    with pytest.raises(ValueError, match="-1, 0 and 1"):
        pack_gaps(np.array([0, weight]), 0)
    with pytest.raises(ValueError, match="low bits"):
        pack_gaps(np.array([0]), 4)
    assert not may_be_coded(np.array([[0, weight]]), 2 if weight < 0 else 8)


@pytest.mark.parametrize("share", [0.04, 0.1, 0.3, 0.45, 0.6])
def test_gaps_take_about_the_entropy(share: float) -> None:
    """Bits a weight, within 7 % of the entropy of independent weights; trits take 1.6."""
    weights = ternary(7, (200, 500), share)
    entropy = -share * np.log2(share / 2) - (1 - share) * np.log2(1 - share)
    bits = {p: 8 * layout_of(weights, 2, p).bytes / weights.size for p in ("fields", "trits", "gaps")}
    assert 0.98 * entropy < bits["gaps"] < 1.07 * entropy
    assert bits["trits"] == pytest.approx(1.6, abs=0.001)
    assert bits["fields"] >= 2


@given(st.integers(0, 1 << 30), st.tuples(st.integers(1, 7), st.integers(1, 130)), shares)
def test_a_layout_states_what_its_weights_take(seed: int, shape: tuple[int, int], share: float) -> None:
    weights = ternary(seed, shape, share)
    weights[0, 0] = -1
    for packing in ("fields", "trits", "gaps"):
        layout = layout_of(weights, 2, packing)
        assert pack_weights(weights, layout).nbytes == layout.bytes
