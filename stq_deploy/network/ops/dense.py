"""Dense: every output sums over the whole input vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Batch, accumulate_exactly
from stq_deploy.network.ops.weighted import WeightedOp, only_types
from stq_deploy.network.tensor import TensorType


@dataclass(frozen=True, eq=False)
class Dense(WeightedOp):
    """Fully connected layer on a vector; `weights` is (inputs, outputs), as in Keras."""

    kind: ClassVar[str] = "dense"

    def weights_by_output(self) -> npt.NDArray[np.int64]:
        return self.weights.T.astype(np.int64)

    def run(self, inputs: Sequence[Batch], types: Sequence[TensorType], output: TensorType) -> Batch:
        x = inputs[0] - types[0].zero_point
        return self.requantize.apply(accumulate_exactly(x, self.weights.astype(np.int64)))

    def check(self, types: Sequence[TensorType], output: TensorType) -> None:
        (x,) = types
        only_types(types, ("int8", "int16"))
        require(len(x.shape) == 1, "a dense layer needs a vector: flatten its input")
        require(self.weights.ndim == 2, "dense weights are not 2-dimensional")
        require(self.weights.shape[0] == x.shape[0], "inputs differ from the weights'")
        require(output.shape == (self.weights.shape[1],), "outputs differ from the weights'")
        self.check_weights(x, output, self.weights.shape[1])

    def macs(self, types: Sequence[TensorType], output: TensorType) -> int:
        return int(self.weights.size)
