"""The base of every operation of the integer network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.tensor import TensorType

Batch = npt.NDArray[np.int64]
"""Integers (N, ...) of a batch; int64 so that no reference computation can overflow silently."""


Counters = npt.NDArray[np.uint64]
"""The number of each sample of a batch, (N,), on which fresh noise depends (`ops/noise.py`)."""

UNNAMED: tuple[str, tuple[str, ...], str, tuple[str, ...]] = ("", (), "", ())
"""Name, inputs, output and sources of an op that has none yet: `Pad(*UNNAMED, before=..., after=...)`."""


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: reads tensors by name, writes one tensor.

    A subclass adds its attributes and defines `run` (its exact meaning), `check` and `macs`.

    Attributes:
        name: unique; the Keras layer that does the arithmetic, made unique if need be. Untrusted text.
        inputs: names of the tensors read.
        output: name of the tensor written.
        sources: Keras layers this op stands for, in their order (a convolution, its BN, its activation).
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    sources: tuple[str, ...]
    kind: ClassVar[str] = ""
    arity: ClassVar[int | None] = 1
    """Number of inputs; None: two or more."""

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        """Output levels for a batch of input levels."""
        raise TypeError(f"{type(self).__name__} does not define run")

    def run_at(
        self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType, counters: Counters
    ) -> Batch:
        """`run` for samples with these counters; only fresh noise depends on them."""
        return self.run(inputs, types, output)

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        """Raise ValueError when shapes, ranges or attributes contradict each other."""
        raise TypeError(f"{type(self).__name__} does not define check")

    def macs(self, types: Sequence[TensorType], output: TensorType) -> int:
        """Multiply-accumulates of one inference (0 unless it is a convolution or dense layer)."""
        return 0


def check_same_shape(types: Sequence[TensorType], output: TensorType) -> None:
    """ValueError unless every input has the output's shape."""
    require(all(t.shape == output.shape for t in types), "an elementwise op needs inputs and output of one shape")


def check_same_levels(x: TensorType, output: TensorType, what: str) -> None:
    """ValueError unless every level of `x` is the same level of `output`: `what` moves levels without changing them."""
    require(
        (x.dtype, x.scale, x.zero_point) == (output.dtype, output.scale, output.zero_point),
        f"{what} cannot change type, scale or zero point",
    )
    require(output.minimum <= x.minimum and x.maximum <= output.maximum, f"{what} leaves the output's range")


def accumulate_exactly(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Batch:
    """Integer matrix product (..., K) x (K, N), exact, through BLAS.

    Every partial sum is an integer of magnitude at most K * max|left| * max|right|; below 2**24 each is exact in
    float32, below 2**53 in float64, so the floating-point product *is* the integer product.
    """
    if left.size == 0 or right.size == 0:
        return np.zeros((*left.shape[:-1], right.shape[1]), np.int64)
    bound = left.shape[-1] * int(np.abs(left).max()) * int(np.abs(right).max())
    if bound >= 2**53:
        product: Batch = left @ right
        return product
    dtype = np.float32 if bound < 2**24 else np.float64
    # A single product of two matrices, since NumPy would make one small BLAS call per leading index.
    rows = left.reshape(-1, left.shape[-1]).astype(dtype)
    sums: Batch = (rows @ right.astype(dtype)).astype(np.int64)
    return sums.reshape(*left.shape[:-1], -1)
