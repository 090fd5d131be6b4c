"""Requantization of 16-bit sums by a multiplier of 32 bits: three instructions a level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators
from stq_deploy.network.requantize.multiplying import Multiplying, in_int32


@dataclass(frozen=True, eq=False)
class PackedRequantize(Multiplying):
    """`clamp((((acc * multiplier[c]) >> 16) + offset[c]) >> right_shift, minimum, maximum)`; acc fits int16.

    Shifts are towards minus infinity. On a Cortex-M7 this is SMLAWB or SMLAWT, which takes a half of a word of sums as
    it is, and USAT or SSAT with a shift. No .stq file has this form: `lowering.packed_form` derives it from the
    certified one where the two are equal.

    Attributes:
        multiplier, offset: int32 (C,).
        right_shift: 0..31, one for the layer.
    """

    multiplier: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int32]
    right_shift: int
    minimum: int
    maximum: int
    kind: ClassVar[str] = "packed"

    def _values(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C): what is shifted and clamped."""
        values: Accumulators = ((acc * self.multiplier.astype(np.int64)) >> 16) + self.offset.astype(np.int64)
        return values

    def apply(self, acc: Accumulators) -> Accumulators:
        levels: Accumulators = np.clip(self._values(acc) >> self.right_shift, self.minimum, self.maximum)
        return levels

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether accumulators in [low, high] ((C,) each) fit int16, and no intermediate leaves int32."""
        if int(low.min()) < -(2**15) or int(high.max()) >= 2**15:
            return False
        return in_int32(self._values(low), self._values(high))

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        self.check_arrays()
        require(0 <= self.right_shift <= 31, "a shift is outside 0..31")
        require(self.overflow_free(low, high), "requantization can overflow int16 or int32")

    def settings(self) -> dict[str, int]:
        return {"right_shift": self.right_shift, "minimum": self.minimum, "maximum": self.maximum}
