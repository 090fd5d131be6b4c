"""AveragePooling2D: the mean under each window, as an integer in units of its smallest common fraction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch, Op
from stq_deploy.network.ops.window import Window, check_pooling
from stq_deploy.network.requantize import Requantize, check_form
from stq_deploy.network.tensor import STORAGE_RANGE, TensorType


@dataclass(frozen=True, eq=False)
class AveragePool(Op):
    """2-D average pooling, (H, W, C); padding is not counted.

    A window's accumulator is the sum of its `x - zero_point` times `multiple / count`, where `count` is the
    number of elements it covers and `multiple` the least common multiple of all windows' counts. The mean is exactly
    accumulator / multiple, at the image's edge as well.
    """

    window: Window
    requantize: Requantize
    kind: ClassVar[str] = "average_pool"

    def multiple(self, x: TensorType) -> int:
        """Accumulator steps per step of the input's scale."""
        return math.lcm(*np.unique(self.window.count(x.shape[0], x.shape[1])).tolist())

    def accumulator_range(self, x: TensorType) -> tuple[int, int]:
        """Smallest and largest accumulator that the input's range allows."""
        multiple = self.multiple(x)
        return (x.minimum - x.zero_point) * multiple, (x.maximum - x.zero_point) * multiple

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        (x,) = types
        weight = self.multiple(x) // self.window.count(x.shape[0], x.shape[1])
        sums = self.window.slide(inputs[0] - x.zero_point, fill=0).sum(axis=(3, 4))
        return self.requantize.apply(sums * weight[:, :, None])

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        check_pooling(self.window, x, output)
        (low, high), (int32_low, int32_high) = self.accumulator_range(x), STORAGE_RANGE["int32"]
        require(int32_low <= low and high <= int32_high, "the accumulator can overflow int32")
        require(self.requantize.channels == output.channels, "requantization has another number of channels")
        full = np.ones(output.channels, np.int64)
        check_form(self.requantize, full * low, full * high, output)
