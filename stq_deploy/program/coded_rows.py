"""Ternary weights in less flash than fields of two bits: trits, and gaps between the weights that are not zero.

`stq_nn.h`, "Coded weights", defines both. Rows follow each other without a break.

Trits take 1.6 bits a weight, whatever the weights. A gap is stored as a Rice code (R. F. Rice and J. R. Plaunt 1971,
IEEE Transactions on Communication Technology 19, pages 889 to 897). For
independent weights it takes a few percent more than their entropy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.program.rows import WORD_BITS, Words

TRITS_PER_WORD = 20
"""STQ_TRITS_PER_WORD: 3^20 is the largest power of 3 below 2^32."""
MAXIMUM_GAP_BITS = 3
"""STQ_MAXIMUM_GAP_BITS."""
MAXIMUM_GAP_WORDS = 1 << 24
"""STQ_MAXIMUM_GAP_WORDS."""

TernaryWeights = npt.NDArray[np.integer[Any]]


def trit_words(weights: int) -> int:
    """Words of this many weights as trits."""
    return -(-weights // TRITS_PER_WORD)


def pack_trits(weights: TernaryWeights) -> Words:
    """Pack ternary weights, 20 to a word.

    The word of digits d_0 .. d_19 (weight + 1) is the fraction 0.d_0 d_1 ... of base 3, in units of 2^-32, rounded up.
    Multiplying it by 3 moves its first digit in front of the point.

    Args:
        weights: integers -1, 0 and 1 of any shape, taken in C order.

    Returns:
        uint32 (words,).

    Raises:
        ValueError: a weight is not ternary.
    """
    flat = _ternary(weights)
    digits = np.ones(trit_words(flat.size) * TRITS_PER_WORD, np.uint64)
    digits[: flat.size] = flat + 1
    places = np.uint64(3) ** np.arange(TRITS_PER_WORD - 1, -1, -1, dtype=np.uint64)
    numbers = (digits.reshape(-1, TRITS_PER_WORD) * places).sum(axis=1, dtype=np.uint64)
    whole = np.uint64(3**TRITS_PER_WORD)
    words: Words = (((numbers << np.uint64(WORD_BITS)) + whole - np.uint64(1)) // whole).astype(np.uint32)
    return words


def unpack_trits(words: Words, count: int) -> npt.NDArray[np.int16]:
    """Inverse of `pack_trits`, for the first `count` weights; every bit pattern stands for some weights.

    Raises:
        ValueError: the words have fewer weights.
    """
    if not 0 <= count <= words.size * TRITS_PER_WORD:
        raise ValueError(f"{words.size} words do not hold {count} trits")
    fractions, digits = words.astype(np.uint64), []
    for _ in range(TRITS_PER_WORD):
        fractions = fractions * np.uint64(3)
        digits.append(fractions >> np.uint64(WORD_BITS))
        fractions &= np.uint64(0xFFFF_FFFF)
    return (np.stack(digits, axis=1).reshape(-1)[:count].astype(np.int64) - 1).astype(np.int16)


def best_gap_bits(weights: TernaryWeights) -> tuple[int, int]:
    """The low bits of a gap to store as they are, for the fewest bits in all; of equals the fewest.

    Returns:
        These bits, and the words that the weights then take.

    Raises:
        ValueError: a weight is not ternary.
    """
    gaps, _ = _gaps(weights)
    bits = [int((gaps >> k).sum()) + (2 + k) * gaps.size for k in range(MAXIMUM_GAP_BITS + 1)]
    best = bits.index(min(bits))
    return best, _gap_words(bits[best])


def pack_gaps(weights: TernaryWeights, gap_bits: int) -> Words:
    """Pack ternary weights as the distances between those that are not zero, each with its sign.

    Args:
        weights: integers -1, 0 and 1 of any shape, taken in C order.
        gap_bits: low bits of a gap that are stored as they are, 0..3.

    Returns:
        uint32 (words,); the last word is 0.

    Raises:
        ValueError: a weight is not ternary, or `gap_bits` is out of range.
    """
    if not 0 <= gap_bits <= MAXIMUM_GAP_BITS:
        raise ValueError(f"a gap has 0 to {MAXIMUM_GAP_BITS} low bits, not {gap_bits}")
    gaps, negative = _gaps(weights)
    zeros = gaps >> gap_bits
    ends = np.cumsum(zeros + gap_bits + 2)
    bits = np.zeros(_gap_words(int(ends[-1]) if ends.size else 0) * WORD_BITS, np.uint8)
    bits[ends - gap_bits - 2] = 1
    for i in range(gap_bits):
        bits[ends - gap_bits - 1 + i] = gaps >> i & 1
    bits[ends - 1] = negative
    return np.packbits(bits, bitorder="little").view("<u4").astype(np.uint32)


def unpack_gaps(words: Words, gap_bits: int, count: int) -> npt.NDArray[np.int16]:
    """Inverse of `pack_gaps`, for the first `count` weights; every bit pattern stands for some weights."""
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    weights = np.zeros(count, np.int16)
    ones = np.flatnonzero(bits[: (len(words) - 1) * WORD_BITS])
    bit, place = 0, -1
    while (index := int(np.searchsorted(ones, bit))) < len(ones):
        one = int(ones[index])
        low = sum(int(bits[one + 1 + i]) << i for i in range(gap_bits))
        place += 1 + ((one - bit) << gap_bits) + low
        if place >= count:
            break
        weights[place] = -1 if bits[one + 1 + gap_bits] else 1
        bit = one + gap_bits + 2
    return weights


def _gaps(weights: TernaryWeights) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """For each weight that is not 0: the zeros before it, and whether it is -1."""
    flat = _ternary(weights)
    places = np.flatnonzero(flat)
    return np.diff(places, prepend=-1) - 1, flat[places] < 0


def _gap_words(bits: int) -> int:
    """Words of a stream: one more than its bits fill."""
    return -(-bits // WORD_BITS) + 1


def _ternary(weights: TernaryWeights) -> npt.NDArray[np.int64]:
    flat = weights.reshape(-1).astype(np.int64)
    if flat.size and not (flat.min() >= -1 and flat.max() <= 1):
        raise ValueError("weights that are coded are -1, 0 and 1")
    return flat
