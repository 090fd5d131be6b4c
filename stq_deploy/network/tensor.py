"""The type of an activation tensor of the integer network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAXIMUM_ELEMENTS = 1 << 28
"""Most elements of a tensor: far beyond any microcontroller, and sizes in bytes stay within 32 bits."""

IntArray = npt.NDArray[np.integer]

STORAGE_RANGE: dict[str, tuple[int, int]] = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
}
"""Storage type -> smallest and largest value it holds."""


def fits(dtype: str, *values: int) -> bool:
    """Whether a storage type holds all the values."""
    low, high = STORAGE_RANGE[dtype]
    return all(low <= value <= high for value in values)


def smallest_type(*values: int) -> str:
    """The smallest storage type that holds all the values.

    Raises:
        ValueError: none does.
    """
    for dtype in STORAGE_RANGE:
        if fits(dtype, *values):
            return dtype
    raise ValueError("the values do not fit 32 bits")


@dataclass(frozen=True)
class TensorType:
    """Type of one activation tensor; the real value of level `q` is `(q - zero_point) * scale`.

    Attributes:
        shape: without the batch axis; images are (height, width, channels).
        dtype: storage type: "int8", "int16" or "int32".
        minimum, maximum: the reachable levels, inclusive. Certificates and overflow proofs rest on them.
        scale: real value of one level, > 0; 1 for accumulators stored as they are where each channel has its own scale.
        zero_point: the level that stands for real 0.
    """

    shape: tuple[int, ...]
    dtype: str
    minimum: int
    maximum: int
    scale: float
    zero_point: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in STORAGE_RANGE:
            raise ValueError(f"unknown storage type {self.dtype!r}")
        low, high = STORAGE_RANGE[self.dtype]
        if not low <= self.minimum <= self.maximum <= high:
            raise ValueError(f"levels {self.minimum}..{self.maximum} do not fit {self.dtype}")
        if not self.shape or any(not isinstance(n, int) or n < 1 for n in self.shape):
            raise ValueError(f"shape {self.shape} is not a list of positive sizes")
        if math.prod(self.shape) > MAXIMUM_ELEMENTS:
            raise ValueError(f"shape {self.shape} has more than {MAXIMUM_ELEMENTS} elements")
        if not (self.scale > 0 and np.isfinite(self.scale)):
            raise ValueError(f"scale {self.scale} is not a positive number")
        if not fits("int32", self.zero_point):
            raise ValueError(f"zero point {self.zero_point} does not fit int32")

    @property
    def elements(self) -> int:
        """Number of elements of one sample."""
        return math.prod(self.shape)

    @property
    def element_bytes(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    @property
    def bytes(self) -> int:
        """Bytes one sample takes in memory."""
        return self.elements * self.element_bytes

    @property
    def channels(self) -> int:
        """Size of the last axis, along which scales and requantization vary."""
        return self.shape[-1]

    def holds(self, values: IntArray) -> bool:
        """Whether every value is in the reachable range."""
        return bool(values.size == 0 or (values.min() >= self.minimum and values.max() <= self.maximum))
