"""Softmax over the channels, by a table of exponentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch, Op, check_same_shape
from stq_deploy.network.ops.weighted import only_types
from stq_deploy.network.tensor import TensorType


@dataclass(frozen=True, eq=False)
class Softmax(Op):
    """`(2**15 * e + sum / 2) / sum` of each channel, where `e = table[m - x]` and m is the pixel's largest level.

    The quotients are rounded down, and 2**15 itself to 2**15 - 1. `table` is int32 (entries,) and falls from `UNIT`;
    the last entry applies to all larger differences. Every intermediate number fits uint32.
    """

    table: npt.NDArray[np.int32]
    kind: ClassVar[str] = "softmax"
    UNIT: ClassVar[int] = 1 << 16
    OUTPUT_BITS: ClassVar[int] = 15
    MAXIMUM_ENTRIES: ClassVar[int] = 1 << 16
    MAXIMUM_CHANNELS: ClassVar[int] = (1 << 15) - 1

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        (x,) = inputs
        differences = x.max(axis=-1, keepdims=True) - x
        e = self.table.astype(np.int64)[np.minimum(differences, len(self.table) - 1)]
        total = e.sum(axis=-1, keepdims=True)
        quotients: Batch = ((e << self.OUTPUT_BITS) + total // 2) // total
        return np.minimum(quotients, (1 << self.OUTPUT_BITS) - 1)

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        only_types((output,), ("int16",))
        check_same_shape(types, output)
        table = self.table
        require(table.dtype == np.int32 and table.ndim == 1, "the table is not int32 (entries,)")
        require(1 <= len(table) <= self.MAXIMUM_ENTRIES, f"the table has not 1 to {self.MAXIMUM_ENTRIES} entries")
        falls = bool((table[1:] <= table[:-1]).all())
        require(table[0] == self.UNIT and table[-1] >= 0 and falls, f"the table does not fall from {self.UNIT} to 0")
        require(output.channels <= self.MAXIMUM_CHANNELS, f"it has over {self.MAXIMUM_CHANNELS} channels")
        require(output.holds(np.array([0, (1 << self.OUTPUT_BITS) - 1])), "softmax leaves the output's range")
