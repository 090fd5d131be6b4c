"""Base of convolutions and dense layers: few-bit weights, an accumulator, its requantization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.ops.base import Op, require
from stq_deploy.network.requantize import (
    KeepAccumulator,
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)
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
        check_requantize(self.requantize, low, high, output)


def fits_bits(weights: npt.NDArray[np.integer[Any]], bits: int) -> bool:
    """Whether fields of `bits` bits hold every weight: two's complement, or -1 and 1 or 0 and 1 in a single bit."""
    if weights.size == 0:
        return False
    low, high = int(weights.min()), int(weights.max())
    if bits == 1:
        return (low >= 0 and high <= 1) or bool((np.abs(weights) == 1).all())
    return -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)


def check_requantize(
    requantize: Requantize, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], output: TensorType
) -> None:
    """ValueError unless every accumulator in [low, high] gives a level of `output` without overflow."""
    r = requantize
    require(
        output.minimum <= r.minimum <= r.maximum <= output.maximum,
        "requantization leaves the output's range",
    )
    if isinstance(r, MultiplierRequantize):
        require(r.multiplier.shape == r.offset.shape and r.multiplier.ndim == 1, "multiplier and offset differ")
        require(r.multiplier.dtype == np.int32 and r.offset.dtype == np.int32, "multiplier or offset is not int32")
        require(0 <= r.left_shift <= 31 and 0 <= r.right_shift <= 31, "a shift is outside 0..31")
        require(r.overflow_free(low, high), "requantization can overflow int32")
    elif isinstance(r, ShiftRequantize):
        require(r.offset.shape == r.shift.shape and r.offset.ndim == 1, "offset and shift differ")
        require(r.offset.dtype == np.int32 and r.shift.dtype == np.int8, "offset is not int32 or shift not int8")
        require(bool(((r.shift >= 0) & (r.shift <= 30)).all()), "a shift is outside 0..30")
        require(r.overflow_free(low, high), "requantization can overflow int32")
    elif isinstance(r, WideRequantize | LongRequantize):
        require(r.multiplier.shape == r.offset.shape == r.shift.shape, "multiplier, offset and shift differ")
        require(r.multiplier.ndim == 1 and r.multiplier.dtype == np.int32, "multiplier is not int32 (C,)")
        if isinstance(r, LongRequantize):
            require(r.fraction.shape == r.multiplier.shape, "multiplier and fraction differ")
            require(r.fraction.dtype == np.int32, "fraction is not int32")
            require(r.lowest.shape == r.highest.shape == r.multiplier.shape, "lowest and highest are not (C,)")
            require(r.lowest.dtype == np.int32 and r.highest.dtype == np.int32, "lowest or highest is not int32")
            require(bool((r.lowest <= r.highest).all()), "lowest lies above highest")
        require(r.offset.dtype == np.int64 and r.shift.dtype == np.int8, "offset is not int64 or shift not int8")
        require(bool(((r.shift >= 0) & (r.shift <= 62)).all()), "a shift is outside 0..62")
        require(r.overflow_free(low, high), "requantization can overflow int64")
    elif isinstance(r, ThresholdRequantize):
        require(r.thresholds.ndim == 2 and r.thresholds.dtype == np.int32, "thresholds are not int32 (C, L)")
        require(
            len(r.thresholds) == len(r.sign) and r.sign.dtype == np.int8,
            "thresholds and signs differ in number",
        )
        require(bool(np.isin(r.sign, (-1, 1)).all()), "a threshold sign is neither -1 nor 1")
        require(bool((np.diff(r.thresholds.astype(np.int64), axis=1) >= 0).all()), "thresholds do not ascend")
    elif isinstance(r, TableRequantize):
        require(r.table.ndim == 2 and r.table.dtype == np.int8, "table is not int8 (C, N)")
        require(
            r.table.shape[0] in (1, r.channels) and r.table.shape[1] > 0,
            "table rows differ from the channels",
        )
        require(
            bool((low >= r.base).all() and (high < r.base + r.table.shape[1]).all()),
            "the accumulator can leave the table",
        )
    elif isinstance(r, KeepAccumulator):
        require(
            bool((low >= r.minimum).all() and (high <= r.maximum).all()),
            "the accumulator can leave its stated range",
        )


def only_types(types: Sequence[TensorType], allowed: Sequence[str]) -> None:
    """ValueError unless every input is stored as one of `allowed`."""
    for t in types:
        require(t.dtype in allowed, f"input stored as {t.dtype}, not as one of {', '.join(allowed)}")
