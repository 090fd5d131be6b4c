"""MaxPooling2D: the largest level under each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from stq_deploy.network.ops.op import Batch, Op, check_same_levels
from stq_deploy.network.ops.window import Window, check_pooling
from stq_deploy.network.tensor import STORAGE_RANGE, TensorType


@dataclass(frozen=True, eq=False)
class MaxPool(Op):
    """2-D max pooling, (H, W, C); levels keep their scale and zero point. Padding never wins."""

    window: Window
    kind: ClassVar[str] = "max_pool"

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        windows = self.window.slide(inputs[0], fill=STORAGE_RANGE[types[0].dtype][0])
        largest: Batch = windows.max(axis=(3, 4))
        return largest

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        check_pooling(self.window, x, output)
        check_same_levels(x, output, "pooling")
