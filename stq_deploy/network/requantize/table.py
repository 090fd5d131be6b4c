"""Requantization by a table with an entry for every reachable accumulator: any function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray


@dataclass(frozen=True, eq=False)
class TableRequantize(Form):
    """`table[c][acc - base]`, or `table[0][acc - base]` when all channels share one row.

    Attributes:
        table: int8 (C, N) or (1, N); N covers every reachable accumulator.
        base: the accumulator of the first entry.
    """

    table: npt.NDArray[np.int8]
    base: int
    channels: int
    kind: ClassVar[str] = "table"

    @property
    def minimum(self) -> int:
        return int(self.table.min())

    @property
    def maximum(self) -> int:
        return int(self.table.max())

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) -> int64 (..., C) levels; IndexError outside the table."""
        index = acc - self.base
        if acc.size and (index.min() < 0 or index.max() >= self.table.shape[1]):
            raise IndexError("accumulator outside its certified table")
        rows = np.zeros(1, np.int64) if self.table.shape[0] == 1 else np.arange(self.channels)
        levels: Accumulators = self.table.astype(np.int64)[rows, index]
        return levels

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        rows = np.broadcast_to(self.table, (self.channels, self.table.shape[1])).astype(np.int64)
        own = (rows[c, low[c] - self.base : high[c] - self.base + 1] for c in range(self.channels))
        return all((np.diff(row) * sign[c] >= 0).all() for c, row in enumerate(own))

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        require(self.table.ndim == 2 and self.table.dtype == np.int8, "table is not int8 (C, N)")
        rows, entries = self.table.shape
        require(rows in (1, self.channels) and entries > 0, "table rows differ from the channels")
        inside = bool((low >= self.base).all() and (high < self.base + entries).all())
        require(inside, "the accumulator can leave the table")

    def arrays(self) -> tuple[FormArray, ...]:
        rows, entries = self.table.shape
        of = "for all channels" if rows == 1 else f"{entries} entries per channel"
        return (FormArray("table", self.table, f"output level of accumulator {self.base} and up, {of}"),)

    def read_bytes(self, pixels: int) -> int:
        return pixels * self.channels * self.table.itemsize

    def settings(self) -> dict[str, int]:
        rows, entries = self.table.shape
        return {"table_base": self.base, "table_stride": 0 if rows == 1 else entries}
