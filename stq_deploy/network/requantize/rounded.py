"""Requantization that rounds twice: first the product, then the quotient, as TensorFlow Lite defines its levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, FormArray
from stq_deploy.network.requantize.multiplying import Multiplying, in_int32


@dataclass(frozen=True, eq=False)
class RoundedRequantize(Multiplying):
    """`clamp(quotient(product(acc + offset[c])) + zero_point, minimum, maximum)`, each part rounded by itself.

    - `product(v)` is `(v << left) * multiplier[c] / 2**31`, rounded to the nearest, half up.
    - `quotient(p)` is `p / 2**right`, rounded to the nearest, half away from 0.

    `left` is `left_shift + max(shift[c], 0)` and `right` is `max(-shift[c], 0)`. TensorFlow Lite rounds so. The two
    roundings differ on both sides of 0, so no single multiplication and shift has the same steps. On a Cortex-M7 it is
    SMULL and six more instructions.

    Attributes:
        multiplier: int32 (C,), 0 or more; offset: int32 (C,); shift: int8 (C,), -31..31.
        left_shift: 0..31, one for the layer; zero_point: added to the quotient.
    """

    multiplier: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int32]
    shift: npt.NDArray[np.int8]
    left_shift: int
    zero_point: int
    minimum: int
    maximum: int
    kind: ClassVar[str] = "rounded"

    def apply(self, acc: Accumulators) -> Accumulators:
        quotient, right = self._halved(acc.astype(np.int64))
        levels: Accumulators = (quotient >> right) + self.zero_point
        return np.clip(levels, self.minimum, self.maximum)

    def _halved(self, acc: Accumulators) -> tuple[Accumulators, Accumulators]:
        """(the product plus half a divisor, right shift)."""
        shift = self.shift.astype(np.int64)
        left, right = self.left_shift + np.maximum(shift, 0), np.maximum(-shift, 0)
        value = (acc + self.offset.astype(np.int64)) << left
        product = (value * self.multiplier.astype(np.int64) + 2**30) >> 31
        half = np.where(right > 0, (1 << np.maximum(right - 1, 0)) - (product < 0), 0)
        halved: Accumulators = product + half
        return halved, right

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        return bool((sign > 0).all() and (self.multiplier >= 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether no intermediate leaves int32 for accumulators in [low, high] ((C,) each)."""
        shift = self.shift.astype(object)
        left = np.maximum(shift, 0) + self.left_shift
        for acc in (low.astype(object), high.astype(object)):
            begun = acc + self.offset.astype(object)
            if not in_int32(begun, begun * 2**left):
                return False
            halved, right = self._halved(acc.astype(np.int64))
            if not in_int32(halved, (halved >> right) + self.zero_point):
                return False
        return True

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        require(self.shift.shape == self.multiplier.shape, "multiplier, offset and shift differ")
        self.check_arrays()
        require(self.shift.dtype == np.int8, "shift is not int8")
        require(bool((np.abs(self.shift.astype(np.int64)) <= 31).all()), "a shift is outside -31..31")
        require(0 <= self.left_shift <= 31, "left_shift is outside 0..31")
        require(int(self.shift.max()) + self.left_shift <= 31, "a left shift is above 31")
        require(bool((self.multiplier >= 0).all()), "a multiplier is below 0")
        require(abs(self.zero_point) < 2**31, "zero_point does not fit int32")
        require(self.overflow_free(low, high), "requantization can overflow int32")

    def arrays(self) -> tuple[FormArray, ...]:
        return (
            FormArray("multiplier", self.multiplier, "multiplier of each output channel"),
            FormArray("offset", self.offset, "number added to each output channel's accumulator"),
            FormArray("shift", self.shift, "left shift of each output channel, or a right shift below 0"),
        )

    def settings(self) -> dict[str, int]:
        return {
            "left_shift": self.left_shift,
            "zero_point": self.zero_point,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }
