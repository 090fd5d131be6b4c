"""Elementwise ops that requantize: a rescaled tensor; sum, product or extreme of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch, Op, check_same_shape
from stq_deploy.network.requantize import Requantize, check_form
from stq_deploy.network.tensor import STORAGE_RANGE, TensorType, fits


@dataclass(frozen=True, eq=False)
class ElementwiseOp(Op):
    """An op whose accumulator is a function of one element of each input; `requantize` gives the output level."""

    requantize: Requantize

    def accumulate(self, terms: Sequence[Batch]) -> Batch:
        """Accumulators of inputs whose zero points are subtracted."""
        raise TypeError(f"{type(self).__name__} does not define accumulate")

    def accumulator_range(self, types: Sequence[TensorType]) -> tuple[int, int]:
        """Smallest and largest accumulator that the inputs' ranges allow.

        Every accumulator here is monotone in each input alone, so its extremes are at the inputs' extremes.
        """
        ends = [(t.minimum - t.zero_point, t.maximum - t.zero_point) for t in types]
        corners = np.stack([axis.reshape(-1) for axis in np.meshgrid(*ends, indexing="ij")]).astype(object)
        found = self.accumulate(list(corners))
        return int(found.min()), int(found.max())

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        return self.requantize.apply(self.accumulate([x - t.zero_point for x, t in zip(inputs, types, strict=True)]))

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        check_same_shape(types, output)
        bounds, (low, high) = self.accumulator_range(types), STORAGE_RANGE["int32"]
        require(low <= bounds[0] and bounds[1] <= high, "the accumulator can overflow int32")
        require(self.requantize.channels == output.channels, "requantization has another number of channels")
        full = np.ones(output.channels, np.int64)
        check_form(self.requantize, full * bounds[0], full * bounds[1], output)


@dataclass(frozen=True, eq=False)
class Rescale(ElementwiseOp):
    """Requantized `x - zero_x`: batch norm, a scale or an activation without a preceding sum."""

    kind: ClassVar[str] = "rescale"

    def accumulate(self, terms: Sequence[Batch]) -> Batch:
        return terms[0]


@dataclass(frozen=True, eq=False)
class ScaledOp(ElementwiseOp):
    """An op of two inputs; the integers `factors`, not 0, first bring them to one scale."""

    factors: tuple[int, int]
    arity: ClassVar[int | None] = 2

    def scaled(self, terms: Sequence[Batch]) -> list[Batch]:
        """Each input's terms times its factor."""
        return [x * f for x, f in zip(terms, self.factors, strict=True)]

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        require(all(f != 0 and fits("int32", f) for f in self.factors), "a factor is 0, or does not fit 32 bits")
        super().check(types, output)


@dataclass(frozen=True, eq=False)
class Add(ScaledOp):
    """Requantized `(a - zero_a) * factor_a + (b - zero_b) * factor_b`; a negative factor subtracts."""

    kind: ClassVar[str] = "add"

    def accumulate(self, terms: Sequence[Batch]) -> Batch:
        a, b = self.scaled(terms)
        return a + b


@dataclass(frozen=True, eq=False)
class Maximum(ScaledOp):
    """Requantized `max((a - zero_a) * factor_a, (b - zero_b) * factor_b)`."""

    kind: ClassVar[str] = "maximum"

    def accumulate(self, terms: Sequence[Batch]) -> Batch:
        return np.maximum(*self.scaled(terms))


@dataclass(frozen=True, eq=False)
class Minimum(ScaledOp):
    """Requantized `min((a - zero_a) * factor_a, (b - zero_b) * factor_b)`."""

    kind: ClassVar[str] = "minimum"

    def accumulate(self, terms: Sequence[Batch]) -> Batch:
        return np.minimum(*self.scaled(terms))


@dataclass(frozen=True, eq=False)
class Multiply(ElementwiseOp):
    """Requantized `(a - zero_a) * (b - zero_b)`."""

    kind: ClassVar[str] = "multiply"
    arity: ClassVar[int | None] = 2

    def accumulate(self, terms: Sequence[Batch]) -> Batch:
        a, b = terms
        return a * b
