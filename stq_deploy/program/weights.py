"""The layout of a layer's weights in flash, and the weights in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stq_deploy.program.coded_rows import best_gap_bits, pack_gaps, pack_trits, trit_words
from stq_deploy.program.rows import WORD_BITS, Words, pack_rows

WeightPacking = Literal["fields", "trits", "gaps"]
"""How weights are stored: fields of `bits` bits, or one of the codes of `coded_rows.py` for ternary weights."""

_PIECE_WORDS = {"trits": 21, "gaps": 256}
"""Code -> words of what its pieces stand for (stq_code_piece_words)."""


@dataclass(frozen=True)
class WeightLayout:
    """Rows of weights in 32-bit words; `stq_nn.h`, "Packed weights" and "Coded weights", defines the bit order.

    Attributes:
        bits: width of a field: 1, 2, 4, 8 or 16; 2 for codes.
        offset: added to a weight to give its field; 0 with 8 and 16 bits, where the field is two's complement.
        rows, columns: a convolution and a dense layer have one row per output, a depthwise convolution one
        per tap.
        packing: fields, or a code for ternary weights.
        gap_bits: low bits of a gap that are stored as they are.
        gap_words: words of all gaps.
    """

    bits: int
    offset: int
    rows: int
    columns: int
    packing: WeightPacking = "fields"
    gap_bits: int = 0
    gap_words: int = 0

    @property
    def row_words(self) -> int:
        """32-bit words of one row of fields, its padding included."""
        return -(-self.columns * self.bits // WORD_BITS)

    @property
    def words(self) -> int:
        """32-bit words of all rows."""
        if self.packing == "trits":
            return trit_words(self.rows * self.columns)
        return self.gap_words if self.packing == "gaps" else self.rows * self.row_words

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.words * (WORD_BITS // 8)


def weight_offset(weights: npt.NDArray[np.integer[Any]], bits: int) -> int:
    """The number added to a weight to give its stored field.

    Ternary weights (-1, 0, 1) are stored 0..2, so that field - 1 needs no sign extension and the fourth code
    is free; weights that use all of -2..1 are stored 0..3; 4-bit weights 0..15; 8- and 16-bit weights unchanged.
    For 1-bit weights, -1 and 1 become 0 and 2, of which one bit is stored, and 0 and 1 stay.
    """
    if bits >= 8:
        return 0
    if bits == 1:
        return int(weights.min() < 0)
    if bits == 2 and int(weights.min()) >= -1:
        return 1
    return 1 << (bits - 1)


def may_be_coded(rows: npt.NDArray[np.integer[Any]], bits: int) -> bool:
    """Whether the codes can hold weights of `bits` bits: they are ternary."""
    return bits == 2 and weight_offset(rows, bits) == 1


def layout_of(rows: npt.NDArray[np.integer[Any]], bits: int, packing: WeightPacking = "fields") -> WeightLayout:
    """The layout of (rows, columns) weights of `bits` bits.

    Raises:
        ValueError: the packing is a code, and a weight is not ternary.
    """
    count, columns = rows.shape
    gap_bits, gap_words = best_gap_bits(rows) if packing == "gaps" else (0, 0)
    return WeightLayout(bits, weight_offset(rows, bits), count, columns, packing, gap_bits, gap_words)


def unpacking_words(packing: WeightPacking, weights: int) -> int:
    """Words of scratch memory in which kernels unpack rows of this many weights: `stq_nn_coded.h`; 0 for fields."""
    return 0 if packing == "fields" else -(-weights // 16) + _PIECE_WORDS[packing]


def pack_weights(rows: npt.NDArray[np.integer[Any]], layout: WeightLayout) -> Words:
    """The packed weights: uint32 (rows, words of a row), or (words,) of a code.

    Raises:
        ValueError: the layout was made for other weights.
    """
    if rows.shape != (layout.rows, layout.columns):
        raise ValueError(f"the layout has {layout.rows} x {layout.columns} weights, the op {rows.shape}")
    if layout.packing == "trits":
        return pack_trits(rows)
    if layout.packing == "gaps":
        return pack_gaps(rows, layout.gap_bits)
    return pack_rows(rows, layout.bits, layout.offset)


def row_elements(count: int, bits: int) -> int:
    """Elements of a row of `count` weights of `bits` (1, 2, 4, 8, 16) bits, padded to whole 32-bit words."""
    per_word = WORD_BITS // bits
    return -(-count // per_word) * per_word
