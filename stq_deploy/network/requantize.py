"""How an accumulator becomes an output level: the seven forms the kernels know, defined here in NumPy.

Each form applies per channel, the last axis. `stq_deploy.lowering.certify` finds one that equals the trained network's
function for every reachable accumulator. These classes only define what each form computes.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Accumulators = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MultiplierRequantize:
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
    certificate: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "multiplier"

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) -> int64 (..., C) levels."""
        high = ((acc << self.left_shift) * self.multiplier.astype(np.int64)) >> 32
        shifted: Accumulators = (high + self.offset.astype(np.int64)) >> self.right_shift
        return np.clip(shifted, self.minimum, self.maximum)

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""
        return bool((self.multiplier.astype(np.int64) * sign >= 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether no intermediate leaves int32 for accumulators in [low, high] ((C,) each)."""
        limit = 2**31
        for acc in (low.astype(np.int64), high.astype(np.int64)):
            shifted = acc << self.left_shift
            total = ((shifted * self.multiplier.astype(np.int64)) >> 32) + self.offset.astype(np.int64)
            for value in (shifted, total):
                if (value >= limit).any() or (value < -limit).any():
                    return False
        return True


@dataclass(frozen=True, eq=False)
class ShiftRequantize:
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
    certificate: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "shift"

    @property
    def channels(self) -> int:
        return len(self.offset)

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) -> int64 (..., C) levels."""
        shift = self.shift.astype(np.int64)
        v = acc + self.offset.astype(np.int64)
        below_half = np.where(shift > 0, (np.int64(1) << np.maximum(shift - 1, 0)) - 1, 0)
        odd = np.where(shift > 0, (v >> shift) & 1, 0)
        rounded: Accumulators = (v + below_half + odd) >> shift
        return np.clip(rounded + self.zero_point, self.minimum, self.maximum)

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""
        return bool((sign > 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether no intermediate leaves int32 for accumulators in [low, high] ((C,) each)."""
        most = high + self.offset.astype(np.int64) + (np.int64(1) << self.shift.astype(np.int64))
        least = low + self.offset.astype(np.int64)
        largest = max(abs(int(most.max())), abs(int(least.min()))) + abs(self.zero_point)
        return largest < 2**31


@dataclass(frozen=True, eq=False)
class WideRequantize:
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
    certificate: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "wide"

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) -> int64 (..., C) levels."""
        total = acc * self.multiplier.astype(np.int64) + self.offset
        levels: Accumulators = total >> self.shift.astype(np.int64)
        return np.clip(levels, self.minimum, self.maximum)

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""
        return bool((self.multiplier.astype(np.int64) * sign >= 0).all())

    def overflow_free(self, low: Accumulators, high: Accumulators) -> bool:
        """Whether the sum stays within int64 for accumulators in [low, high] ((C,) each)."""
        multiplier, offset = self.multiplier.astype(object), self.offset.astype(object)
        ends = [acc.astype(object) * multiplier + offset for acc in (low, high)]
        return all(int(end.min()) >= -(2**63) and int(end.max()) < 2**63 for end in ends)


@dataclass(frozen=True, eq=False)
class LongRequantize:
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
    certificate: dict[str, Any] = field(default_factory=dict)
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

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """All arrays, (C,) each."""
        return self.multiplier, self.fraction, self.offset, self.shift, self.lowest, self.highest

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) -> int64 (..., C) levels."""
        fine = (acc * self.fraction.astype(np.int64)) >> 32
        total = acc * self.multiplier.astype(np.int64) + fine + self.offset
        levels: Accumulators = total >> self.shift.astype(np.int64)
        return np.clip(levels, self.lowest.astype(np.int64), self.highest.astype(np.int64))

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""
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


@dataclass(frozen=True, eq=False)
class ThresholdRequantize:
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
    certificate: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "threshold"

    @property
    def channels(self) -> int:
        return len(self.sign)

    @property
    def maximum(self) -> int:
        return self.minimum + int(self.thresholds.shape[1])

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) -> int64 (..., C) levels."""
        signed = acc * self.sign.astype(np.int64)
        out = np.empty_like(signed)
        for c in range(self.channels):
            out[..., c] = np.searchsorted(self.thresholds[c], signed[..., c], side="right")
        return out + self.minimum

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""
        ascending = (np.diff(self.thresholds.astype(np.int64), axis=1) >= 0).all()
        return bool((self.sign == sign).all() and ascending)


@dataclass(frozen=True, eq=False)
class TableRequantize:
    """`table[c][acc - base]`, or `table[0][acc - base]` when all channels share one row.

    Attributes:
        table: int8 (C, N) or (1, N); N covers every reachable accumulator.
        base: the accumulator of the first entry.
    """

    table: npt.NDArray[np.int8]
    base: int
    channels: int
    certificate: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "table"

    @property
    def minimum(self) -> int:
        return int(self.table.min())

    @property
    def maximum(self) -> int:
        return int(self.table.max())

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) -> int64 (..., C) levels; IndexError outside the table."""
        index = acc - self.base
        if acc.size and (index.min() < 0 or index.max() >= self.table.shape[1]):
            raise IndexError("accumulator outside its certified table")
        rows = np.zeros(1, np.int64) if self.table.shape[0] == 1 else np.arange(self.channels)
        levels: Accumulators = self.table.astype(np.int64)[rows, index]
        return levels

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""
        rows = np.broadcast_to(self.table, (self.channels, self.table.shape[1])).astype(np.int64)
        own = (rows[c, low[c] - self.base : high[c] - self.base + 1] for c in range(self.channels))
        return all((np.diff(row) * sign[c] >= 0).all() for c, row in enumerate(own))


@dataclass(frozen=True, eq=False)
class KeepAccumulator:
    """The accumulator itself, stored in the output's (wider) type; conversion has proved that it fits."""

    channels: int
    minimum: int
    maximum: int
    certificate: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "keep"

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C), unchanged."""
        return acc

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""
        return bool((sign > 0).all())


Requantize = (
    MultiplierRequantize
    | ShiftRequantize
    | WideRequantize
    | LongRequantize
    | ThresholdRequantize
    | TableRequantize
    | KeepAccumulator
)  # fmt: skip
PER_CHANNEL = ("multiplier", "fraction", "lowest", "highest", "offset", "shift", "thresholds", "sign", "table")
"""Attributes with a row for each channel; a table may have one for all."""
REQUANTIZE_KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in typing.get_args(Requantize)}


def of_channels(form: Requantize, kept: Sequence[int] | npt.NDArray[np.int64]) -> Requantize:
    """The same requantization restricted to the channels with the indices `kept`, in that order."""
    changed: dict[str, Any] = {
        name: rows[kept]
        for name in PER_CHANNEL
        if (rows := getattr(form, name, None)) is not None and len(rows) == form.channels
    }
    if isinstance(form, TableRequantize | KeepAccumulator):
        changed["channels"] = len(kept)
    return replace(form, **changed)
