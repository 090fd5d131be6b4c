"""MaxPooling2D: the largest level under each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from stq_deploy.network.ops.base import Batch, Op, require
from stq_deploy.network.ops.weighted import only_types
from stq_deploy.network.ops.window import Window
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
        only_types(types, ("int8",))
        require(len(x.shape) == 3 and len(output.shape) == 3, "2-D pooling needs (height, width, channels)")
        self.window.check()
        paddings = (self.window.pad_before, self.window.pad_after)
        require(
            all(p < k for pad in paddings for p, k in zip(pad, self.window.size, strict=True)),
            "a pooling window can lie wholly in the padding",
        )
        expected = (*self.window.output_size(x.shape[0], x.shape[1]), x.shape[2])
        require(output.shape == expected, f"output shape {output.shape} should be {expected}")
        require(
            (output.dtype, output.scale, output.zero_point) == (x.dtype, x.scale, x.zero_point),
            "pooling cannot change type, scale or zero point",
        )
        require(output.minimum <= x.minimum and x.maximum <= output.maximum, "pooling leaves the output's range")
