"""Requantization by counting thresholds: any monotone function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray


@dataclass(frozen=True, eq=False)
class ThresholdRequantize(Form):
    """`minimum + #{t in thresholds[c] : sign[c] * acc >= t}`.

    Attributes:
        thresholds: int32 (C, L), ascending along L; L = number of output levels - 1. A threshold never reached is
            INT32_MAX.
        sign: int8 (C,), +1 where the function rises with the accumulator, -1 where it falls (`sign * acc` is
            compared, so falling functions need no second form).
    """

    thresholds: npt.NDArray[np.int32]
    sign: npt.NDArray[np.int8]
    minimum: int
    kind: ClassVar[str] = "threshold"

    @property
    def channels(self) -> int:
        return len(self.sign)

    @property
    def maximum(self) -> int:
        return self.minimum + int(self.thresholds.shape[1])

    def apply(self, acc: Accumulators) -> Accumulators:
        signed = acc * self.sign.astype(np.int64)
        out = np.empty_like(signed)
        for c in range(self.channels):
            out[..., c] = np.searchsorted(self.thresholds[c], signed[..., c], side="right")
        return out + self.minimum

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        ascending = (np.diff(self.thresholds.astype(np.int64), axis=1) >= 0).all()
        return bool((self.sign == sign).all() and ascending)

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        two_axes = self.thresholds.ndim == 2 and self.thresholds.dtype == np.int32
        require(two_axes, "thresholds are not int32 (C, L)")
        same = len(self.thresholds) == len(self.sign) and self.sign.dtype == np.int8
        require(same, "thresholds and signs differ in number")
        require(bool(np.isin(self.sign, (-1, 1)).all()), "a threshold sign is neither -1 nor 1")
        require(bool((np.diff(self.thresholds.astype(np.int64), axis=1) >= 0).all()), "thresholds do not ascend")

    def arrays(self) -> tuple[FormArray, ...]:
        sign = FormArray("sign", self.sign, "1 for a rising, -1 for a falling channel")
        count = self.thresholds.shape[1]
        if count == 0:  # a constant function; C has no empty arrays
            return (sign,)
        return (
            FormArray("thresholds", self.thresholds, f"{count} ascending thresholds of each output channel"),
            sign,
        )

    def read_bytes(self, pixels: int) -> int:
        steps = int(self.thresholds.shape[1]).bit_length()  # of a binary search
        return pixels * self.channels * (steps * self.thresholds.itemsize + self.sign.itemsize)

    def settings(self) -> dict[str, int]:
        return {"minimum": self.minimum, "maximum": self.maximum, "levels": self.thresholds.shape[1] + 1}
