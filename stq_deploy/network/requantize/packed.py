"""Requantization of 16-bit sums by a multiplier of 32 bits: three instructions a level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray


@dataclass(frozen=True, eq=False)
class PackedRequantize(Form):
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

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    def _values(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C): what is shifted and clamped."""
        values: Accumulators = ((acc * self.multiplier.astype(np.int64)) >> 16) + self.offset.astype(np.int64)
        return values

    def apply(self, acc: Accumulators) -> Accumulators:
        levels: Accumulators = np.clip(self._values(acc) >> self.right_shift, self.minimum, self.maximum)
        return levels

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        return bool((self.multiplier.astype(np.int64) * sign >= 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether accumulators in [low, high] ((C,) each) fit int16, and no intermediate leaves int32."""
        if int(low.min()) < -(2**15) or int(high.max()) >= 2**15:
            return False
        ends = np.stack([self._values(low), self._values(high)])
        return bool((ends >= -(2**31)).all() and (ends < 2**31).all())

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        same = self.multiplier.shape == self.offset.shape and self.multiplier.ndim == 1
        require(same, "multiplier and offset differ")
        typed = self.multiplier.dtype == np.int32 and self.offset.dtype == np.int32
        require(typed, "multiplier or offset is not int32")
        require(0 <= self.right_shift <= 31, "a shift is outside 0..31")
        require(self.overflow_free(low, high), "requantization can overflow int16 or int32")

    def arrays(self) -> tuple[FormArray, ...]:
        return (
            FormArray("multiplier", self.multiplier, "multiplier of each output channel"),
            FormArray("offset", self.offset, "offset of each output channel"),
        )

    def read_bytes(self, pixels: int) -> int:
        return pixels * self.nbytes

    def settings(self) -> dict[str, int]:
        return {"right_shift": self.right_shift, "minimum": self.minimum, "maximum": self.maximum}
