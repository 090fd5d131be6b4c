"""Ops that treat every element alike: tables, sums and products of two tensors, views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops.base import Batch, Op, require
from stq_deploy.network.ops.weighted import check_requantize, only_types
from stq_deploy.network.requantize import Requantize
from stq_deploy.network.tensor import STORAGE_RANGE, TensorType


def _check_same_shape(types: Sequence[TensorType], output: TensorType) -> None:
    require(all(t.shape == output.shape for t in types), "an elementwise op needs inputs and output of one shape")


@dataclass(frozen=True, eq=False)
class Table(Op):
    """`table[x + 128]`: any function of one int8 tensor (an activation, say). `table` is int8 (256,)."""

    table: npt.NDArray[np.int8]
    kind: ClassVar[str] = "table"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        return self.table.astype(np.int64)[inputs[0] + 128]

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        only_types((*types, output), ("int8",))
        _check_same_shape(types, output)
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
        _check_same_shape(types, output)
        levels = tuple(t.maximum - t.minimum + 1 for t in types)
        require(self.table.dtype == np.int8 and self.table.shape == levels, f"the table is not int8 {levels}")
        require(self.table.size <= self.MAXIMUM_ENTRIES, f"the table has over {self.MAXIMUM_ENTRIES} entries")
        require(output.holds(self.table.astype(np.int64)), "the table leaves the output's range")


@dataclass(frozen=True, eq=False)
class Add(Op):
    """Requantised `(a - zero_a) * factor_a + (b - zero_b) * factor_b`; factors >= 1 bring both to one scale."""

    factors: tuple[int, int]
    requantize: Requantize
    kind: ClassVar[str] = "add"
    arity: ClassVar[int] = 2

    def accumulator_range(self, types: Sequence[TensorType]) -> tuple[int, int]:
        """Smallest and largest accumulator that the inputs' ranges allow."""
        ends = [
            sorted(((t.minimum - t.zero_point) * f, (t.maximum - t.zero_point) * f))
            for t, f in zip(types, self.factors, strict=True)
        ]
        return ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        terms = [(x - t.zero_point) * f for x, t, f in zip(inputs, types, self.factors, strict=True)]
        return self.requantize.apply(terms[0] + terms[1])

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        only_types(types, ("int8", "int16"))
        _check_same_shape(types, output)
        require(all(f != 0 for f in self.factors), "an Add factor is 0")
        _check_elementwise_requantize(self.requantize, self.accumulator_range(types), output)


@dataclass(frozen=True, eq=False)
class Multiply(Op):
    """Requantised `(a - zero_a) * (b - zero_b)`."""

    requantize: Requantize
    kind: ClassVar[str] = "multiply"
    arity: ClassVar[int] = 2

    def accumulator_range(self, types: Sequence[TensorType]) -> tuple[int, int]:
        """Smallest and largest accumulator that the inputs' ranges allow."""
        a, b = ((t.minimum - t.zero_point, t.maximum - t.zero_point) for t in types)
        products = [m * n for m in a for n in b]
        return min(products), max(products)

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        a, b = inputs
        return self.requantize.apply((a - types[0].zero_point) * (b - types[1].zero_point))

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        only_types(types, ("int8", "int16"))
        _check_same_shape(types, output)
        _check_elementwise_requantize(self.requantize, self.accumulator_range(types), output)


def _check_elementwise_requantize(requantize: Requantize, bounds: tuple[int, int], output: TensorType) -> None:
    low, high = STORAGE_RANGE["int32"]
    require(low <= bounds[0] and bounds[1] <= high, "the accumulator can overflow int32")
    require(requantize.channels == output.channels, "requantisation has another number of channels")
    full = np.ones(output.channels, np.int64)
    check_requantize(requantize, full * bounds[0], full * bounds[1], output)


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """The same elements in the same order under another shape (Flatten too): a view, no work on the device."""

    kind: ClassVar[str] = "reshape"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        return inputs[0].reshape(len(inputs[0]), *output.shape)

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        require(x.elements == output.elements, "a reshape cannot change the number of elements")
        require(
            (x.dtype, x.scale, x.zero_point) == (output.dtype, output.scale, output.zero_point),
            "a reshape cannot change type, scale or zero point",
        )
        require(output.minimum <= x.minimum and x.maximum <= output.maximum, "a reshape leaves the output's range")
