"""Any smooth function of one level, by a table and interpolation between its entries."""

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
class Curve(Op):
    """Entry k of the table is the value at level `base + k * 2**shift`; between entries a parabola through three.

    Let u be `level - base`, clamped to [0, (entries - 1) * 2**shift], u = k * 2**shift + f, and d, e the first and
    second difference of the entries from k on. The value is

        table[k] + floor((f * d * 2**(shift + 1) + f * (f - 2**shift) * e + 2**(2 * shift)) / 2**(2 * shift + 1)),

    clamped to the output's range: Newton's forward interpolation, rounded. After the last entry the table continues as
    a straight line. With shift 0 the value is the entry itself. `table` is int32 (entries,).
    """

    table: npt.NDArray[np.int32]
    base: int
    shift: int
    kind: ClassVar[str] = "curve"
    MAXIMUM_ENTRIES: ClassVar[int] = 1 << 16
    MAXIMUM_SHIFT: ClassVar[int] = 20

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        (x,) = inputs
        table, last = self._extended(), (len(self.table) - 1) << self.shift
        u = np.clip(x - self.base, 0, last)
        k, f = u >> self.shift, u & ((1 << self.shift) - 1)
        first = table[k + 1] - table[k]
        second = table[k + 2] - 2 * table[k + 1] + table[k]
        product = f * (first << (self.shift + 1)) + f * (f - (1 << self.shift)) * second
        value: Batch = table[k] + ((product + (1 << (2 * self.shift))) >> (2 * self.shift + 1))
        return np.clip(value, output.minimum, output.maximum)

    def _extended(self) -> npt.NDArray[np.int64]:
        """The table with two more entries, on a straight line."""
        table = self.table.astype(np.int64)
        step = table[-1] - table[-2] if len(table) > 1 else np.int64(0)
        return np.concatenate([table, table[-1] + step * np.array([1, 2])])

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        only_types((output,), ("int16", "int32"))
        check_same_shape(types, output)
        table = self.table
        require(table.dtype == np.int32 and table.ndim == 1, "the table is not int32 (entries,)")
        require(1 <= len(table) <= self.MAXIMUM_ENTRIES, f"the table has not 1 to {self.MAXIMUM_ENTRIES} entries")
        require(0 <= self.shift <= self.MAXIMUM_SHIFT, f"shift is not 0 to {self.MAXIMUM_SHIFT}")
        require((len(table) - 1) << self.shift < 2**31, "the table spans more than 31 bits")
        require(-(2**31) <= self.base < 2**31, "base is not a 32-bit number")
        require(output.holds(np.array([table.min(), table.max()])), "the table leaves the output's range")
        entries = self._extended()
        first = int(np.abs(np.diff(entries)).max())
        second = int(np.abs(np.diff(entries, 2)).max())
        largest = (first << (2 * self.shift + 1)) + (second << (2 * self.shift))
        require(largest < 2**62, "its differences are too large for this shift")
