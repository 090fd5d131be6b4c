"""What a name of an ONNX graph stands for while the graph is read: numbers, weights on a grid, or a tensor.

A tensor of the network keeps the order in which its node stores it, with channels last. An index array states which
stored element each element of ONNX's tensor is. So transposing and reshaping only change that array. A weight is
put into the stored order once, at import, and nothing is transposed when the network runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int32]

IMAGE_RANK = 4
"""Batch, channels, height and width."""
ROW_RANK = 3
"""Batch, channels and length: an image of one row."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """A constant of any type.

    Attributes:
        type: ONNX's name of its type where NumPy has none, such as "int4"; else "".
    """

    values: npt.NDArray[Any]
    type: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


@dataclass(frozen=True, eq=False)
class GridNumbers:
    """Constants that are integers times a scale.

    Attributes:
        integers: int64, the zero point subtracted.
        scale: float64 > 0, of the shape of `integers`.
        quantizer: for people.
        bipolar: whether the only integers are -1 and 1.
    """

    integers: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float64]
    quantizer: str
    bipolar: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.integers.shape

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """The numbers themselves, exact."""
        return self.integers * self.scale

    def moved(self, integers: npt.NDArray[np.int64], scale: npt.NDArray[np.float64]) -> GridNumbers:
        return replace(self, integers=integers, scale=scale)


@dataclass(frozen=True)
class LevelScale:
    """The scale and zero point with which QuantizeLinear has written a tensor."""

    scale: Fraction
    zero_point: int
    type: str


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor that depends on the model's input.

    Attributes:
        position: of the node that computes it.
        index: ONNX's shape, batch axis of 1 included -> the place of the element among the stored ones.
        levels: None where the tensor holds real numbers; else how it was quantized.
    """

    position: int
    index: Index
    levels: LevelScale | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.index.shape

    def under(self, index: Index) -> Tensor:
        """The same elements in another shape or order."""
        return replace(self, index=index)


OnnxValue = Numbers | GridNumbers | Tensor


def stored_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which a node stores a tensor of ONNX's shape: (1, C, H, W) -> (H, W, C), (1, C, L) -> (1, L, C)."""
    if len(shape) == IMAGE_RANK:
        return (shape[2], shape[3], shape[1])
    if len(shape) == ROW_RANK:
        return (1, shape[2], shape[1])
    return shape[1:]


@lru_cache(maxsize=8)
def stored_index(shape: tuple[int, ...]) -> Index:
    """The index array of a tensor of ONNX's shape that a node stores with channels last; not to be written to."""
    places = np.arange(math.prod(shape), dtype=np.int32).reshape(1, *stored_shape(shape))
    if len(shape) == IMAGE_RANK:
        return places.transpose(0, 3, 1, 2)
    found: Index = places[0].transpose(0, 2, 1) if len(shape) == ROW_RANK else places
    return found


def is_stored_so(tensor: Tensor) -> bool:
    """Whether the tensor's elements lie as `stored_index` of its shape states."""
    return np.array_equal(tensor.index, stored_index(tensor.shape))
