"""The layout of a layer's weights in flash, and the weights in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.program.rows import WORD_BITS, Words, pack_rows


@dataclass(frozen=True)
class WeightLayout:
    """Rows of weight fields in 32-bit words; `stq_nn.h`, "Packed weights", defines the bit order.

    Attributes:
        bits: width of a field: 1, 2, 4, 8 or 16.
        offset: added to a weight to give its field; 0 with 8 and 16 bits, where the field is two's complement.
        rows, columns: a convolution and a dense layer have one row per output, a depthwise convolution one
        per tap.
    """

    bits: int
    offset: int
    rows: int
    columns: int

    @property
    def row_words(self) -> int:
        """32-bit words of one row, its padding included."""
        return -(-self.columns * self.bits // WORD_BITS)

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.rows * self.row_words * (WORD_BITS // 8)


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


def layout_of(rows: npt.NDArray[np.integer[Any]], bits: int) -> WeightLayout:
    """The layout of (rows, columns) weights in fields of `bits` bits."""
    count, columns = rows.shape
    return WeightLayout(bits, weight_offset(rows, bits), count, columns)


def pack_weights(rows: npt.NDArray[np.integer[Any]], layout: WeightLayout) -> Words:
    """The packed weights: uint32 (rows, words of a row).

    Raises:
        ValueError: the layout was made for other weights.
    """
    if rows.shape != (layout.rows, layout.columns):
        raise ValueError(f"the layout has {layout.rows} x {layout.columns} weights, the op {rows.shape}")
    return pack_rows(rows, layout.bits, layout.offset)


def row_elements(count: int, bits: int) -> int:
    """Elements of a row of `count` weights of `bits` (1, 2, 4, 8, 16) bits, padded to whole 32-bit words."""
    per_word = WORD_BITS // bits
    return -(-count // per_word) * per_word
