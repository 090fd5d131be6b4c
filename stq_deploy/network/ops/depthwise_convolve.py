"""DepthwiseConv2D: every output channel sums over one input channel under the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch
from stq_deploy.network.ops.weighted import WeightedOp, only_types
from stq_deploy.network.ops.window import Window
from stq_deploy.network.tensor import TensorType


@dataclass(frozen=True, eq=False)
class DepthwiseConvolve(WeightedOp):
    """2-D depthwise convolution, input and output (H, W, C).

    `weights` is (kernel height, kernel width, input channels, depth multiplier), as in Keras; output channel
    `c * multiplier + m` reads input channel `c`.
    """

    window: Window
    kind: ClassVar[str] = "depthwise_convolve"

    def weights_by_output(self) -> npt.NDArray[np.int64]:
        kh, kw, cin, multiplier = self.weights.shape
        return self.weights.reshape(kh * kw, cin * multiplier).T.astype(np.int64)

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        x = inputs[0] - types[0].zero_point
        windows = self.window.slide(x, fill=0)
        kh, kw, cin, multiplier = self.weights.shape
        acc = np.zeros((*windows.shape[:3], cin, multiplier), np.int64)
        for i in range(kh):
            for j in range(kw):
                acc += windows[:, :, :, i, j, :, None] * self.weights[i, j].astype(np.int64)
        return self.requantize.apply(acc.reshape(*acc.shape[:3], cin * multiplier))

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        only_types(types, ("int8", "int16"))
        require(len(x.shape) == 3 and len(output.shape) == 3, "a convolution needs (height, width, channels)")
        require(self.weights.ndim == 4, "depthwise weights are not 4-dimensional")
        kh, kw, cin, multiplier = self.weights.shape
        self.window.check(x.shape)
        require(self.window.size == (kh, kw), "the window's size differs from the weights'")
        require(cin == x.shape[2], "input channels differ from the weights'")
        expected = (*self.window.output_size(x.shape[0], x.shape[1]), cin * multiplier)
        require(output.shape == expected, f"output shape {output.shape} should be {expected}")
        self.check_weights(x, output, cin * multiplier)

    def macs(self, types: Sequence[TensorType], output: TensorType) -> int:
        return output.shape[0] * output.shape[1] * int(self.weights.size)
