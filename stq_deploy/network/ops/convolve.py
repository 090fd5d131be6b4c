"""Conv2D: every output channel sums over every input channel under the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch, accumulate_exactly
from stq_deploy.network.ops.weighted import WeightedOp, only_types
from stq_deploy.network.ops.window import Window
from stq_deploy.network.tensor import TensorType


@dataclass(frozen=True, eq=False)
class Convolve(WeightedOp):
    """2-D convolution (cross-correlation, as in Keras), input and output (H, W, C).

    `weights` is (kernel height, kernel width, input channels of a group, output channels), as in Keras: where the
    input has g times as many channels, the outputs fall into g equal groups, group i reading the i-th part of them.
    """

    window: Window
    kind: ClassVar[str] = "convolve"

    def weights_by_output(self) -> npt.NDArray[np.int64]:
        return self.weights.reshape(-1, self.weights.shape[-1]).T.astype(np.int64)

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        windows = self.window.slide(inputs[0] - types[0].zero_point, fill=0)
        depth, weights = self.weights.shape[2], self.weights_by_output()
        groups = windows.shape[-1] // depth
        sums = []
        for group, rows in enumerate(np.split(weights, groups)):
            columns = windows[..., group * depth : (group + 1) * depth]
            sums.append(accumulate_exactly(columns.reshape(*columns.shape[:3], -1), rows.T))
        return self.requantize.apply(np.concatenate(sums, axis=-1))

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        only_types(types, ("int8", "int16"))
        require(len(x.shape) == 3 and len(output.shape) == 3, "a convolution needs (height, width, channels)")
        require(self.weights.ndim == 4, "convolution weights are not 4-dimensional")
        kh, kw, cin, cout = self.weights.shape
        self.window.check(x.shape)
        require(self.window.size == (kh, kw), "the window's size differs from the weights'")
        require(cin >= 1 and x.shape[2] % cin == 0, "input channels differ from the weights'")
        require(cout % (x.shape[2] // cin) == 0, "the output channels do not fall into equal groups")
        expected = (*self.window.output_size(x.shape[0], x.shape[1]), cout)
        require(output.shape == expected, f"output shape {output.shape} should be {expected}")
        self.check_weights(x, output, cout)

    def macs(self, types: Sequence[TensorType], output: TensorType) -> int:
        return output.shape[0] * output.shape[1] * int(self.weights.size)
