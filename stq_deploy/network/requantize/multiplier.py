"""Requantization by a multiplier of 32 bits and a shift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators
from stq_deploy.network.requantize.multiplying import Multiplying, in_int32


@dataclass(frozen=True, eq=False)
class MultiplierRequantize(Multiplying):
    """`clamp(((((acc << left_shift) * multiplier[c]) >> 32) + offset[c]) >> right_shift, minimum, maximum)`.

    All shifts are arithmetic (towards minus infinity). On a Cortex-M7 this is LSL, SMMLA, ASR and a clamp. The caller
    proves that neither `acc << left_shift` nor the sum leaves int32 (`overflow_free`).

    Attributes:
        multiplier, offset: int32 (C,).
        left_shift, right_shift: 0..31, one for the layer.
    """

    multiplier: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int32]
    left_shift: int
    right_shift: int
    minimum: int
    maximum: int
    kind: ClassVar[str] = "multiplier"

    def apply(self, acc: Accumulators) -> Accumulators:
        high = ((acc << self.left_shift) * self.multiplier.astype(np.int64)) >> 32
        shifted: Accumulators = (high + self.offset.astype(np.int64)) >> self.right_shift
        return np.clip(shifted, self.minimum, self.maximum)

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether no intermediate leaves int32 for accumulators in [low, high] ((C,) each)."""
        for acc in (low.astype(np.int64), high.astype(np.int64)):
            shifted = acc << self.left_shift
            total = ((shifted * self.multiplier.astype(np.int64)) >> 32) + self.offset.astype(np.int64)
            if not in_int32(shifted, total):
                return False
        return True

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        self.check_arrays()
        require(0 <= self.left_shift <= 31 and 0 <= self.right_shift <= 31, "a shift is outside 0..31")
        require(self.overflow_free(low, high), "requantization can overflow int32")

    def settings(self) -> dict[str, int]:
        return {
            "left_shift": self.left_shift,
            "right_shift": self.right_shift,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }
