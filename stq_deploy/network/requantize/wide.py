"""Requantization in 64 bits: the wide form, and the long form with a finer multiplier and ends for each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray

_MULTIPLIER = "multiplier of each output channel"
_OFFSET = "offset of each output channel"
_SHIFT = "right shift of each output channel"


@dataclass(frozen=True, eq=False)
class WideRequantize(Form):
    """`clamp((acc * multiplier[c] + offset[c]) >> shift[c], minimum, maximum)`, the sum in 64 bits.

    Many levels need this form, because the multiplier form drops 32 bits before it adds the offset. On a Cortex-M7 it
    is SMLAL and a shift of two words.

    Attributes:
        multiplier: int32 (C,); offset: int64 (C,); shift: int8 (C,), 0..62.
    """

    multiplier: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int8]
    minimum: int
    maximum: int
    kind: ClassVar[str] = "wide"

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    def apply(self, acc: Accumulators) -> Accumulators:
        total = acc * self.multiplier.astype(np.int64) + self.offset
        levels: Accumulators = total >> self.shift.astype(np.int64)
        return np.clip(levels, self.minimum, self.maximum)

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        return bool((self.multiplier.astype(np.int64) * sign >= 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether the sum stays within int64 for accumulators in [low, high] ((C,) each)."""
        multiplier, offset = self.multiplier.astype(object), self.offset.astype(object)
        ends = [acc.astype(object) * multiplier + offset for acc in (low, high)]
        return all(int(end.min()) >= -(2**63) and int(end.max()) < 2**63 for end in ends)

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        _check_factors(self)
        require(self.overflow_free(low, high), "requantization can overflow int64")

    def arrays(self) -> tuple[FormArray, ...]:
        return (
            FormArray("multiplier", self.multiplier, _MULTIPLIER),
            FormArray("wide_offset", self.offset, _OFFSET),
            FormArray("shift", self.shift, _SHIFT),
        )

    def read_bytes(self, pixels: int) -> int:
        return pixels * self.nbytes

    def settings(self) -> dict[str, int]:
        return {"minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, eq=False)
class LongRequantize(Form):
    """`clamp((acc * multiplier[c] + ((acc * fraction[c]) >> 32) + offset[c]) >> shift[c], lowest[c], highest[c])`.

    This is the wide form with a multiplier of 63 bits, `multiplier + fraction / 2**32`. Thousands of levels of sums of
    more than 20 bits need it, because 31 bits cannot place every step exactly. Each channel has its own ends: a relu
    before batch normalization stops each channel at its own level. Sums have 64 bits. On a Cortex-M7 this is SMLAL,
    SMMUL, an addition and a shift of two words.

    Attributes:
        multiplier, fraction: int32 (C,); offset: int64 (C,); shift: int8 (C,), 0..62.
        lowest, highest: int32 (C,), levels.
    """

    multiplier: npt.NDArray[np.int32]
    fraction: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    shift: npt.NDArray[np.int8]
    lowest: npt.NDArray[np.int32]
    highest: npt.NDArray[np.int32]
    kind: ClassVar[str] = "long"

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    @property
    def minimum(self) -> int:
        return int(self.lowest.min())

    @property
    def maximum(self) -> int:
        return int(self.highest.max())

    def apply(self, acc: Accumulators) -> Accumulators:
        fine = (acc * self.fraction.astype(np.int64)) >> 32
        total = acc * self.multiplier.astype(np.int64) + fine + self.offset
        levels: Accumulators = total >> self.shift.astype(np.int64)
        return np.clip(levels, self.lowest.astype(np.int64), self.highest.astype(np.int64))

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        # Their sum is a multiple of acc, rounded down; the fraction is less than one unit of the multiplier.
        direction = np.where(self.multiplier != 0, np.sign(self.multiplier), np.sign(self.fraction))
        return bool((direction * sign >= 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether no intermediate leaves int64 for accumulators in [low, high] ((C,) each)."""
        multiplier, fraction = self.multiplier.astype(object), self.fraction.astype(object)
        for acc in (low.astype(object), high.astype(object)):
            product = acc * multiplier + ((acc * fraction) >> 32)
            for value in (product, product + self.offset.astype(object)):
                if int(value.min()) < -(2**63) or int(value.max()) >= 2**63:
                    return False
        return True

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        _check_factors(self)
        require(self.fraction.shape == self.multiplier.shape, "multiplier and fraction differ")
        require(self.fraction.dtype == np.int32, "fraction is not int32")
        ends = self.lowest.shape == self.highest.shape == self.multiplier.shape
        require(ends, "lowest and highest are not (C,)")
        typed = self.lowest.dtype == np.int32 and self.highest.dtype == np.int32
        require(typed, "lowest or highest is not int32")
        require(bool((self.lowest <= self.highest).all()), "lowest lies above highest")
        require(self.overflow_free(low, high), "requantization can overflow int64")

    def arrays(self) -> tuple[FormArray, ...]:
        return (
            FormArray("multiplier", self.multiplier, _MULTIPLIER),
            FormArray("fraction", self.fraction, "its fraction, in units of 2^-32"),
            FormArray("wide_offset", self.offset, _OFFSET),
            FormArray("shift", self.shift, _SHIFT),
            FormArray("lowest", self.lowest, "lowest level of each output channel"),
            FormArray("highest", self.highest, "highest level of each output channel"),
        )

    def read_bytes(self, pixels: int) -> int:
        return pixels * self.nbytes

    def settings(self) -> dict[str, int]:
        return {}


def _check_factors(form: WideRequantize | LongRequantize) -> None:
    """Check the constants that both forms have.

    Raises:
        ValueError: one has another shape, type or range.
    """
    same = form.multiplier.shape == form.offset.shape == form.shift.shape
    require(same, "multiplier, offset and shift differ")
    require(form.multiplier.ndim == 1 and form.multiplier.dtype == np.int32, "multiplier is not int32 (C,)")
    typed = form.offset.dtype == np.int64 and form.shift.dtype == np.int8
    require(typed, "offset is not int64 or shift not int8")
    require(bool(((form.shift >= 0) & (form.shift <= 62)).all()), "a shift is outside 0..62")
