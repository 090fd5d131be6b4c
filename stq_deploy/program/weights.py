"""Chooses the layout of a layer's weights in flash; `rows.py` packs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import DepthwiseConvolve, WeightedOp
from stq_deploy.program.rows import WORD_BITS


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


def weight_layout(op: WeightedOp) -> WeightLayout:
    """The layout in which the kernels of `op` read its weights."""
    rows, columns = op.weights_by_output().shape
    if isinstance(op, DepthwiseConvolve):
        rows, columns = columns, rows
    return WeightLayout(op.weight_bits, weight_offset(op.weights, op.weight_bits), rows, columns)
