"""Requantization by a shift that rounds half to even."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray


@dataclass(frozen=True, eq=False)
class ShiftRequantize(Form):
    """`clamp(round_half_to_even((acc + offset[c]) / 2**shift[c]) + zero_point, minimum, maximum)`.

    This is the form of a layer without batch norm whose scales are powers of two. Its rounding ties are real, and no
    multiplier rounds them to even. With `v = acc + offset` the rounding is `(v + 2**(shift - 1) - 1 + ((v >>
    shift) & 1)) >> shift`, or v where the shift is 0.

    Attributes:
        offset: int32 (C,); shift: int8 (C,), 0..30.
        zero_point: added after rounding.
    """

    offset: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int8]
    zero_point: int
    minimum: int
    maximum: int
    kind: ClassVar[str] = "shift"

    @property
    def channels(self) -> int:
        return len(self.offset)

    def apply(self, acc: Accumulators) -> Accumulators:
        shift = self.shift.astype(np.int64)
        v = acc + self.offset.astype(np.int64)
        below_half = np.where(shift > 0, (np.int64(1) << np.maximum(shift - 1, 0)) - 1, 0)
        odd = np.where(shift > 0, (v >> shift) & 1, 0)
        rounded: Accumulators = (v + below_half + odd) >> shift
        return np.clip(rounded + self.zero_point, self.minimum, self.maximum)

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        return bool((sign > 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether no intermediate leaves int32 for accumulators in [low, high] ((C,) each)."""
        most = high + self.offset.astype(np.int64) + (np.int64(1) << self.shift.astype(np.int64))
        least = low + self.offset.astype(np.int64)
        largest = max(abs(int(most.max())), abs(int(least.min()))) + abs(self.zero_point)
        return largest < 2**31

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        require(self.offset.shape == self.shift.shape and self.offset.ndim == 1, "offset and shift differ")
        typed = self.offset.dtype == np.int32 and self.shift.dtype == np.int8
        require(typed, "offset is not int32 or shift not int8")
        require(bool(((self.shift >= 0) & (self.shift <= 30)).all()), "a shift is outside 0..30")
        require(self.overflow_free(low, high), "requantization can overflow int32")

    def arrays(self) -> tuple[FormArray, ...]:
        return (
            FormArray("offset", self.offset, "offset of each output channel"),
            FormArray("shift", self.shift, "right shift of each output channel"),
        )

    def read_bytes(self, pixels: int) -> int:
        return pixels * self.nbytes

    def settings(self) -> dict[str, int]:
        return {"zero_point": self.zero_point, "minimum": self.minimum, "maximum": self.maximum}
