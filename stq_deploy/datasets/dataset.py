"""The form of every loaded data set."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError


@dataclass(frozen=True)
class Dataset:
    """Training and test samples with their labels.

    x_*: (N, H, W, C), uint8 gray levels 0..255 or float32 features; `as_input` makes network input of either.
    y_*: (N,) int64 class numbers, 0 <= y < len(class_names).
    source: where it was read from, for the record.
    validation: indices of the training samples that the publisher set aside for validation; None if it did not.

    Raises StqError on construction if these are inconsistent, or features are NaN or infinite.
    """

    name: str
    source: str
    class_names: tuple[str, ...]
    x_train: NDArray[np.uint8] | NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8] | NDArray[np.float32]
    y_test: NDArray[np.int64]
    validation: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for part, x, y in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            if x.ndim != 4 or len(x) != len(y):
                raise StqError(
                    f"the {part} part of {self.name} is malformed: samples {x.shape}, labels {y.shape}",
                    where=self.source,
                    next="samples must be (N, H, W, C), with one label each",
                )
            if 0 in x.shape[1:]:
                raise StqError(
                    f"samples of the {part} part of {self.name} have the shape {x.shape[1:]}: they hold nothing",
                    where=self.source,
                    next="samples must be (N, H, W, C), with a pixel or a feature at least",
                )
            if len(y) and not 0 <= int(y.min()) <= int(y.max()) < len(self.class_names):
                raise StqError(
                    f"labels of the {part} part of {self.name} run from {y.min()} to {y.max()}, "
                    f"but there are {len(self.class_names)} classes",
                    where=self.source,
                )
            if x.dtype != np.uint8 and not np.isfinite(x).all():
                raise StqError(f"the {part} part of {self.name} holds NaN or infinite values", where=self.source)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise StqError(
                f"training samples of {self.name} have shape {self.x_train.shape[1:]}, test samples "
                f"{self.x_test.shape[1:]}",
                where=self.source,
            )

    @property
    def feature_range(self) -> tuple[int, int] | None:
        """The smallest and the largest value of features, rounded outward to whole numbers; None if samples are pixels:
        uint8, or floats in [0, 1].
        """
        if self.x_train.dtype == np.uint8:
            return None
        values = [float(bound) for x in (self.x_train, self.x_test) if x.size for bound in (x.min(), x.max())]
        low, high = min(values, default=0.0), max(values, default=1.0)
        return None if low >= 0 and high <= 1 else (math.floor(low), math.ceil(high))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one sample."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels


def as_input(x: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Network input, float32: uint8 gray levels divided by 255 (so in [0, 1]); float features unchanged."""
    if x.dtype == np.uint8:
        return (x.astype(np.float32) / np.float32(255.0)).astype(np.float32)
    return x.astype(np.float32)
