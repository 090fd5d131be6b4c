"""Conv2D: every output channel sums over every input channel under the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops.base import Batch, accumulate_exactly, require
from stq_deploy.network.ops.weighted import WeightedOp, only_types
from stq_deploy.network.ops.window import Window
from stq_deploy.network.tensor import TensorType


@dataclass(frozen=True, eq=False)
class Convolve(WeightedOp):
    """2-D convolution (cross-correlation, as in Keras), input and output (H, W, C).

    `weights` is (kernel height, kernel width, input channels, output channels), as in Keras.
    """

    window: Window
    kind: ClassVar[str] = "convolve"

    def weights_by_output(self) -> npt.NDArray[np.int64]:
        return self.weights.reshape(-1, self.weights.shape[-1]).T.astype(np.int64)

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        x = inputs[0] - types[0].zero_point
        columns = self.window.slide(x, fill=0)
        columns = columns.reshape(*columns.shape[:3], -1)
        return self.requantize.apply(accumulate_exactly(columns, self.weights_by_output().T))

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        only_types(types, ("int8", "int16"))
        require(len(x.shape) == 3 and len(output.shape) == 3, "a convolution needs (height, width, channels)")
        require(self.weights.ndim == 4, "convolution weights are not 4-dimensional")
        kh, kw, cin, cout = self.weights.shape
        self.window.check()
        require(self.window.size == (kh, kw), "the window's size differs from the weights'")
        require(cin == x.shape[2], "input channels differ from the weights'")
        expected = (*self.window.output_size(x.shape[0], x.shape[1]), cout)
        require(output.shape == expected, f"output shape {output.shape} should be {expected}")
        self.check_weights(x, output, cout)

    def macs(self, types: Sequence[TensorType], output: TensorType) -> int:
        return output.shape[0] * output.shape[1] * int(self.weights.size)
