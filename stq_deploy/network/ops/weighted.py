"""Base of convolutions and dense layers: few-bit weights, an accumulator, its requantization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.ops.op import Op
from stq_deploy.network.requantize import Requantize, check_form
from stq_deploy.network.tensor import STORAGE_RANGE, TensorType

WEIGHT_BITS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, eq=False)
class WeightedOp(Op):
    """An op whose accumulator is a sum of `(x - zero_point) * w`.

    Attributes:
        weights: the integer weights, int16 where `weight_bits` is 16, else int8; their layout is the subclass's.
        weight_bits: 1, 2, 4, 8 or 16: width of a packed weight field. One bit holds -1 and 1, or 0 and 1.
        requantize: accumulator -> output level, per output channel.
    """

    weights: npt.NDArray[np.int8] | npt.NDArray[np.int16]
    weight_bits: int
    requantize: Requantize

    def weights_by_output(self) -> npt.NDArray[np.int64]:
        """int64 (outputs, K): the weights that each output channel sums over."""
        raise TypeError(f"{type(self).__name__} does not define weights_by_output")

    def input_range_by_weight(self, x: TensorType) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Smallest and largest `x - zero_point`, padding (0) included; broadcastable to `weights_by_output`."""
        low = np.int64(min(0, x.minimum - x.zero_point))
        high = np.int64(max(0, x.maximum - x.zero_point))
        return np.asarray(low), np.asarray(high)

    def accumulator_range(self, x: TensorType) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """int64 (outputs,) twice: bounds that no input can leave, from the weights' signs and the input's range."""
        w = self.weights_by_output()
        low, high = self.input_range_by_weight(x)
        minimum = np.where(w > 0, w * low, w * high).sum(axis=1)
        maximum = np.where(w > 0, w * high, w * low).sum(axis=1)
        return minimum, maximum

    def check_weights(self, x: TensorType, output: TensorType, outputs: int) -> None:
        require(self.weight_bits in WEIGHT_BITS, f"weight width {self.weight_bits} is not one of {WEIGHT_BITS}")
        wide = self.weight_bits == 16
        require(self.weights.dtype == (np.int16 if wide else np.int8), f"weights are not {'int16' if wide else 'int8'}")
        require(fits_bits(self.weights, self.weight_bits), f"weights leave the range of {self.weight_bits} bits")
        require(self.requantize.channels == outputs, "requantization has another number of channels")
        require(output.shape[-1] == outputs, "output channels differ from the weights'")
        low, high = self.accumulator_range(x)
        int32_low, int32_high = STORAGE_RANGE["int32"]
        require(
            bool((low >= int32_low).all() and (high <= int32_high).all()),
            "the accumulator can overflow int32",
        )
        check_form(self.requantize, low, high, output)


def fits_bits(weights: npt.NDArray[np.integer[Any]], bits: int) -> bool:
    """Whether fields of `bits` bits hold every weight: two's complement, or -1 and 1 or 0 and 1 in a single bit."""
    if weights.size == 0:
        return False
    low, high = int(weights.min()), int(weights.max())
    if bits == 1:
        return (low >= 0 and high <= 1) or bool((np.abs(weights) == 1).all())
    return -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)


def only_types(types: Sequence[TensorType], allowed: Sequence[str]) -> None:
    """ValueError unless every input is stored as one of `allowed`."""
    for t in types:
        require(t.dtype in allowed, f"input stored as {t.dtype}, not as one of {', '.join(allowed)}")
