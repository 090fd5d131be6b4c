"""Bytes that a layer reads and writes in one inference, by memory, as the basis of placement.

They follow from the loops of the kernels in `firmware_templates/kernels/cortex_m7/`: counts of array elements, not of
bus accesses. A kernel without a formula here is assumed to read its inputs and write its output once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stq_deploy.network import TensorType
from stq_deploy.network.ops import (
    AveragePool,
    Convolve,
    Crop,
    Curve,
    Dense,
    DepthwiseConvolve,
    ElementwiseOp,
    MaxPool,
    Op,
    PairTable,
    Softmax,
    Table,
)
from stq_deploy.network.requantize import TableRequantize, ThresholdRequantize

_COLUMN, _ACCUMULATOR = 2, 4
"""Bytes of an element of the columns and of the accumulators that kernels keep in scratch memory."""


@dataclass(frozen=True)
class Traffic:
    """Bytes read and written in one inference.

    Attributes:
        activations: in the arena.
        scratch: in the kernels' working memory.
        constants: weights, requantization arrays and tables.
    """

    activations: int
    scratch: int
    constants: int


def traffic(
    op: Op, inputs: Sequence[TensorType], output: TensorType, *, weight_bytes: int, table_bytes: int
) -> Traffic:
    """Traffic of a layer.

    Args:
        weight_bytes, table_bytes: sizes of its packed weights, and of its other constants.
    """
    read, written = sum(t.bytes for t in inputs), output.bytes
    pixels = output.elements // output.channels
    accumulators = 2 * _ACCUMULATOR * output.elements
    requantized = _requantize_reads(op, output, table_bytes)
    covered = _covered_elements(op, inputs[0], output)
    gathered = covered * _element_bytes(inputs[0])
    if isinstance(op, Convolve):
        # Two pixels at a time: each is gathered into a column, and each word of weights is read once for both.
        # Two output channels at a time read the columns, of which those of a group read their group's part.
        taps = int(np.prod(op.window.size))
        columns = taps * _COLUMN * (inputs[0].channels + op.weights.shape[2] * -(-output.channels // 2))
        return Traffic(
            gathered + written, pixels * columns + accumulators, -(-pixels // 2) * weight_bytes + requantized
        )
    if isinstance(op, DepthwiseConvolve):
        # The weights are widened once, two from each word that is read, and read for every pixel.
        widened = _COLUMN * op.weights.size
        return Traffic(gathered + written, widened + _COLUMN * covered + accumulators, widened + requantized)
    if isinstance(op, Dense):
        columns = _COLUMN * inputs[0].elements * (1 + -(-output.elements // 2))
        return Traffic(read + written, columns + accumulators, weight_bytes + requantized)
    if isinstance(op, ElementwiseOp):
        return Traffic(read + written, accumulators, requantized)
    if isinstance(op, MaxPool):
        return Traffic(gathered + written, 0, 0)
    if isinstance(op, AveragePool):
        return Traffic(gathered + written, accumulators, requantized)
    if isinstance(op, Crop):
        return Traffic(2 * written, 0, 0)
    if isinstance(op, (Table, PairTable)):
        return Traffic(read + written, 0, output.elements)
    if isinstance(op, Curve):  # a parabola through three entries, or a look-up
        entries = 3 if op.shift else 1
        return Traffic(read + written, 0, entries * output.elements * op.table.itemsize)
    if isinstance(op, Softmax):  # the largest level, the sum, the quotients; the latter two look every level up
        return Traffic(3 * read + written, 0, 2 * output.elements * op.table.itemsize)
    return Traffic(read + written, 0, 0)


def _covered_elements(op: Op, x: TensorType, output: TensorType) -> int:
    """Elements of the input under all positions of a window, padding not counted; 0 without a window."""
    if not isinstance(op, (Convolve, DepthwiseConvolve, MaxPool, AveragePool)):
        return 0
    height, width, _ = x.shape
    channels = x.channels if isinstance(op, Convolve) else output.channels
    return int(op.window.count(height, width).sum()) * channels


def _requantize_reads(op: Op, output: TensorType, table_bytes: int) -> int:
    """Bytes of constants that requantization reads. Each output element reads one entry of a table, or a binary search
    and a sign of thresholds, or all entries of its channel in other forms."""
    requantize = getattr(op, "requantize", None)
    if isinstance(requantize, TableRequantize):
        return output.elements
    if isinstance(requantize, ThresholdRequantize):
        steps = int(requantize.thresholds.shape[1]).bit_length()
        return output.elements * (steps * requantize.thresholds.itemsize + requantize.sign.itemsize)
    return output.elements // output.channels * table_bytes


def _element_bytes(tensor: TensorType) -> int:
    return np.dtype(tensor.dtype).itemsize
