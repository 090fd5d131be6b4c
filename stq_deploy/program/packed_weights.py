"""The weights of an op in the order its kernel reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops import DepthwiseConvolve, WeightedOp
from stq_deploy.program.rows import Words, pack_rows
from stq_deploy.program.weights import WeightLayout


def weight_rows(op: WeightedOp) -> npt.NDArray[np.int64]:
    """int64 (rows, columns) of weights as the kernel's contract orders them.

    A convolution and a dense layer have one row per output, its elements in (kernel row, kernel column, input
    channel) order. A depthwise convolution has one row per kernel tap, with output channels as elements.
    """
    by_output = op.weights_by_output()
    return by_output.T if isinstance(op, DepthwiseConvolve) else by_output


def pack_weights(op: WeightedOp, layout: WeightLayout) -> Words:
    """The packed weights of `op`: uint32 (rows, words of a row).

    Raises:
        ValueError: the layout was made for other weights.
    """
    rows = weight_rows(op)
    if rows.shape != (layout.rows, layout.columns):
        raise ValueError(f"the layout has {layout.rows} x {layout.columns} weights, the op {rows.shape}")
    return pack_rows(rows, layout.bits, layout.offset)
