"""Look-up tables: any function of one tensor of int8 levels, or of two with few levels."""

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
class Table(Op):
    """`table[x + 128]`: any function of one int8 tensor (an activation, say). `table` is int8 (256,)."""

    table: npt.NDArray[np.int8]
    kind: ClassVar[str] = "table"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        return self.table.astype(np.int64)[inputs[0] + 128]

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        only_types((*types, output), ("int8",))
        check_same_shape(types, output)
        require(self.table.dtype == np.int8 and self.table.shape == (256,), "the table is not int8 (256,)")
        reached = self.table[types[0].minimum + 128 : types[0].maximum + 129].astype(np.int64)
        require(output.holds(reached), "the table leaves the output's range")


@dataclass(frozen=True, eq=False)
class PairTable(Op):
    """`table[a - a.minimum, b - b.minimum]`: any function of two int8 tensors of few levels (a gate, a sum).

    `table` is int8 (levels of a, levels of b).
    """

    table: npt.NDArray[np.int8]
    kind: ClassVar[str] = "pair_table"
    arity: ClassVar[int] = 2
    MAXIMUM_ENTRIES: ClassVar[int] = 4096

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        a, b = inputs
        return self.table.astype(np.int64)[a - types[0].minimum, b - types[1].minimum]

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        only_types((*types, output), ("int8",))
        check_same_shape(types, output)
        levels = tuple(t.maximum - t.minimum + 1 for t in types)
        require(self.table.dtype == np.int8 and self.table.shape == levels, f"the table is not int8 {levels}")
        require(self.table.size <= self.MAXIMUM_ENTRIES, f"the table has over {self.MAXIMUM_ENTRIES} entries")
        require(output.holds(self.table.astype(np.int64)), "the table leaves the output's range")
