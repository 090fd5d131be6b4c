"""Ops that move levels and compute nothing: views, padding, cropping, nearest upsampling, concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch, Op, check_same_levels
from stq_deploy.network.tensor import STORAGE_RANGE, TensorType


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """The same elements in the same order under another shape (Flatten too): a view, no work on the device."""

    kind: ClassVar[str] = "reshape"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        return inputs[0].reshape(len(inputs[0]), *output.shape)

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        require(types[0].elements == output.elements, "a reshape cannot change the number of elements")
        check_same_levels(types[0], output, "a reshape")


@dataclass(frozen=True, eq=False)
class Pad(Op):
    """Rows and columns of real 0 around an image (H, W, C).

    Attributes:
        before, after: (vertical, horizontal) at the top and left, and at the bottom and right.
    """

    before: tuple[int, int]
    after: tuple[int, int]
    kind: ClassVar[str] = "pad"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        around = ((0, 0), *zip(self.before, self.after, strict=True), (0, 0))
        return np.pad(inputs[0], around, constant_values=output.zero_point)

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        require(len(x.shape) == 3, "padding needs (height, width, channels)")
        require(all(n >= 0 for n in (*self.before, *self.after)), "a padding is negative")
        sizes = [n + b + a for n, b, a in zip(x.shape, self.before, self.after, strict=False)]
        require(output.shape == (*sizes, x.shape[2]), f"output shape {output.shape} should be {(*sizes, x.shape[2])}")
        check_same_levels(x, output, "padding")
        require(output.minimum <= output.zero_point <= output.maximum, "real 0 is not a level of the output")


@dataclass(frozen=True, eq=False)
class Crop(Op):
    """The part of an image (H, W, C) that begins at `before` (vertical, horizontal), as large as the output."""

    before: tuple[int, int]
    kind: ClassVar[str] = "crop"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        (top, left), (height, width) = self.before, output.shape[:2]
        return inputs[0][:, top : top + height, left : left + width]

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        require(len(x.shape) == 3 and len(output.shape) == 3, "cropping needs (height, width, channels)")
        require(
            all(b >= 0 and b + m <= n for n, b, m in zip(x.shape, self.before, output.shape, strict=False))
            and x.shape[2] == output.shape[2],
            "the crop leaves its input",
        )
        check_same_levels(x, output, "cropping")


@dataclass(frozen=True, eq=False)
class Upsample(Op):
    """Repeats every pixel (H, W, C) `size` (vertical, horizontal) times: nearest-neighbour interpolation."""

    size: tuple[int, int]
    kind: ClassVar[str] = "upsample"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        return inputs[0].repeat(self.size[0], axis=1).repeat(self.size[1], axis=2)

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        require(len(x.shape) == 3, "upsampling needs (height, width, channels)")
        require(all(n >= 1 for n in self.size), "an upsampling factor is below 1")
        expected = (x.shape[0] * self.size[0], x.shape[1] * self.size[1], x.shape[2])
        require(output.shape == expected, f"output shape {output.shape} should be {expected}")
        check_same_levels(x, output, "upsampling")


@dataclass(frozen=True, eq=False)
class Concatenate(Op):
    """The concatenation of the inputs along `axis` (0 is the first after the batch's).

    Input i's level x becomes `(x - zero_i) * factors[i] + zero_output`. The factors, integers >= 1, bring inputs of
    different scales to one.
    """

    axis: int
    factors: tuple[int, ...]
    kind: ClassVar[str] = "concatenate"
    arity: ClassVar[int | None] = None

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        parts = [
            (x - t.zero_point) * factor + output.zero_point
            for x, t, factor in zip(inputs, types, self.factors, strict=True)
        ]
        return np.concatenate(parts, axis=self.axis + 1)

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        require(len(self.factors) == len(types), "inputs and factors differ in number")
        require(all(1 <= f <= STORAGE_RANGE["int32"][1] for f in self.factors), "a factor is not in 1..2**31 - 1")
        rank = len(output.shape)
        require(0 <= self.axis < rank and all(len(t.shape) == rank for t in types), "there is no such axis")
        joined = sum(t.shape[self.axis] for t in types)
        for t in types:
            expected = tuple(joined if i == self.axis else n for i, n in enumerate(t.shape))
            require(output.shape == expected, f"output shape {output.shape} should be {expected}")
        for t, factor in zip(types, self.factors, strict=True):
            ends = [(end - t.zero_point) * factor + output.zero_point for end in (t.minimum, t.maximum)]
            require(output.minimum <= ends[0] and ends[1] <= output.maximum, "an input leaves the output's range")

    def copies(self, types: Sequence[TensorType], output: TensorType) -> bool:
        """Whether the levels stay unchanged, so that concatenation only copies."""
        same = [(t.dtype, t.zero_point) == (output.dtype, output.zero_point) for t in types]
        return all(same) and all(f == 1 for f in self.factors)
