"""Random requantizations that fit given accumulators, each with what it must give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels import golden
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import Struct

FORMS = (
    "multiplier",
    "multiplier_s16",
    "multiplier_s32",
    "shift",
    "threshold",
    "threshold_s16",
    "table",
    "shared_table",
    "keep_s16",
    "keep_s32",
    "wide",
    "wide_s16",
    "wide_s32",
    "long_s16",
    "long_s32",
    "packed",
    "packed_s16",
    "rounded",
    "rounded_s32",
)


LARGEST_TABLE = 50_000
"""Accumulators of a wider range get thresholds instead of a table."""
LARGEST_SHIFTED = 2**29
"""Accumulators beyond it, with an offset and a step more, could leave int32: they get thresholds too."""


@dataclass(frozen=True)
class Requantization:
    struct: Struct
    dtype: str
    expected: npt.NDArray[np.int64]


def make(form: str, acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
    """For accumulators (..., channels)."""
    return _MAKERS[form](acc, rng)


def _multiplier(dtype: str) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        channels = acc.shape[-1]
        largest = max(1, int(np.abs(acc).max()))
        left = int(rng.integers(0, max(1, 31 - largest.bit_length())))
        right = int(rng.integers(0, 8))
        info = np.iinfo(dtype)
        reach = (largest << left >> 32 - 30 if left else largest) or 1
        low, high = sorted(int(v) for v in rng.integers(max(info.min, -(1 << 20)), min(info.max, 1 << 20), 2))
        multiplier = rng.integers(-(2**31), 2**31, channels).astype(np.int32)
        offset = rng.integers(-min(reach, 1 << 29), min(reach, 1 << 29) + 1, channels).astype(np.int32)
        if dtype == "int8" and rng.random() < 0.3:
            low, high = info.min, info.max  # nothing is left to clamp
        struct = arguments.requantize(
            "multiplier", dtype, left_shift=left, right_shift=right, minimum=low, maximum=high,
            multiplier=multiplier, offset=offset,
        )  # fmt: skip
        expected = _each(
            acc, lambda a, c: golden.by_multiplier(a, int(multiplier[c]), int(offset[c]), left, right, low, high)
        )
        return Requantization(struct, dtype, expected)

    return maker


def _shift(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
    channels = acc.shape[-1]
    largest = max(1, int(np.abs(acc).max()))
    if largest > LARGEST_SHIFTED:
        return _threshold("int8")(acc, rng)
    shift = rng.integers(0, min(largest.bit_length(), 30) + 1, channels).astype(np.int8)
    offset = rng.integers(-min(largest, 1 << 20), min(largest, 1 << 20) + 1, channels).astype(np.int32)
    zero_point = int(rng.integers(-128, 128))
    low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
    struct = arguments.requantize("shift", offset=offset, shift=shift, zero_point=zero_point, minimum=low, maximum=high)
    expected = _each(acc, lambda a, c: golden.by_shift(a, int(offset[c]), int(shift[c]), zero_point, low, high))
    return Requantization(struct, "int8", expected)


def _threshold(dtype: str) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        channels, info = acc.shape[-1], np.iinfo(dtype)
        reach = min(int(np.abs(acc).max()) + 2, 2**31 - 1)
        levels = int(rng.integers(2, 18))
        minimum = int(rng.integers(info.min, info.max + 1 - levels))
        thresholds = np.sort(rng.integers(-reach, reach, (channels, levels - 1)), axis=1).astype(np.int32)
        thresholds[:, -1:][rng.random((channels, 1)) < 0.3] = 2**31 - 1  # never reached
        sign = rng.choice(np.array([-1, 1], np.int8), channels)
        struct = arguments.requantize("threshold", dtype, minimum=minimum, thresholds=thresholds, sign=sign)
        expected = _each(
            acc, lambda a, c: golden.by_thresholds(a, [int(t) for t in thresholds[c]], int(sign[c]), minimum)
        )
        return Requantization(struct, dtype, expected)

    return maker


def _table(shared: bool) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        base = int(acc.min())
        if acc.max() - base > LARGEST_TABLE:
            return _threshold("int8")(acc, rng)
        rows = 1 if shared else acc.shape[-1]
        table = rng.integers(-128, 128, (rows, int(acc.max()) - base + 1)).astype(np.int8)
        struct = arguments.requantize("table", table=table, table_base=base)
        return Requantization(struct, "int8", _each(acc, lambda a, c: int(table[0 if shared else c, a - base])))

    return maker


def _keep(dtype: str) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        # int16 is chosen only where the accumulator is known to fit.
        info = np.iinfo(dtype)
        fits = info.min <= acc.min() and acc.max() <= info.max
        kept = dtype if fits else "int32"
        return Requantization(arguments.requantize("keep", kept), kept, acc)

    return maker


def _wide(dtype: str) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        channels = acc.shape[-1]
        info = np.iinfo(dtype)
        low, high = sorted(int(v) for v in rng.integers(info.min, info.max, 2, endpoint=True))
        multiplier = rng.integers(-(2**31), 2**31, channels).astype(np.int32)
        # Products reach 2**62; so may offsets. Shifts are such that levels lie about the output's range.
        reach = max(1, int(np.abs(acc).max()) << 31)
        offset = rng.integers(-min(reach, 2**62 - 1), min(reach, 2**62 - 1), channels, np.int64, endpoint=True)
        bits = reach.bit_length() - info.bits
        shift = np.clip(bits + rng.integers(-3, 4, channels), 0, 62).astype(np.int8)
        struct = arguments.requantize(
            "wide", dtype, minimum=low, maximum=high, multiplier=multiplier, wide_offset=offset, shift=shift
        )
        expected = _each(
            acc, lambda a, c: golden.by_wide(a, int(multiplier[c]), int(offset[c]), int(shift[c]), low, high)
        )
        return Requantization(struct, dtype, expected)

    return maker


def _long(dtype: str) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        channels = acc.shape[-1]
        info = np.iinfo(dtype)
        lowest, highest = np.sort(rng.integers(info.min, info.max, (2, channels), endpoint=True), axis=0)
        ends = np.array([-(2**31), 2**31 - 1, 0, -1])
        multiplier, fraction = (
            np.where(rng.random(channels) < 0.2, rng.choice(ends, channels), rng.integers(-(2**31), 2**31, channels))
            for _ in range(2)
        )
        # Products reach 2**62; so do offsets, less the 2**31 that the fraction may add.
        reach = max(1, int(np.abs(acc).max()) << 31)
        room = min(reach, 2**62 - 2**32)
        offset = rng.integers(-room, room, channels, np.int64, endpoint=True)
        bits = reach.bit_length() - info.bits
        shift = np.clip(bits + rng.integers(-3, 4, channels), 0, 62).astype(np.int8)
        struct = arguments.requantize(
            "long", dtype, multiplier=multiplier.astype(np.int32), wide_offset=offset, shift=shift,
            fraction=fraction.astype(np.int32), lowest=lowest.astype(np.int32), highest=highest.astype(np.int32),
        )  # fmt: skip
        factor = [(int(m) << 32) + int(f) for m, f in zip(multiplier, fraction, strict=True)]
        expected = _each(
            acc,
            lambda a, c: golden.by_long(a, factor[c], int(offset[c]), int(shift[c]), int(lowest[c]), int(highest[c])),
        )
        return Requantization(struct, dtype, expected)

    return maker


PACKED_LEVELS = ((0, 15), (-128, 127), (-8, 7), (0, 3))
"""Ranges of levels: the first two have code of their own where the shift is 16."""


def _packed(dtype: str) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        if acc.min() < -(2**15) or acc.max() >= 2**15:
            return _threshold(dtype)(acc, rng)
        channels, largest = acc.shape[-1], max(1, int(np.abs(acc).max()))
        low, high = PACKED_LEVELS[int(rng.integers(len(PACKED_LEVELS)))]
        right = int(rng.choice([16, 16, 16, 12, 5, 0]))
        # About as many levels as the output has, over the sums that occur, and some beyond.
        steepest = min(2**31 - 1, (high - low) * 2 ** (right + 16) // largest + 1)
        multiplier = rng.integers(-steepest, steepest, channels, endpoint=True).astype(np.int32)
        offset = (rng.integers(low - 5, high + 5, channels) << right) + rng.integers(0, 1 << right, channels)
        struct = arguments.requantize(
            "packed", dtype, right_shift=right, minimum=low, maximum=high,
            multiplier=multiplier, offset=offset.astype(np.int32),
        )  # fmt: skip
        expected = _each(acc, lambda a, c: golden.by_packed(a, int(multiplier[c]), int(offset[c]), right, low, high))
        return Requantization(struct, dtype, expected)

    return maker


def _rounded(dtype: str) -> Callable[[npt.NDArray[np.int64], np.random.Generator], Requantization]:
    def maker(acc: npt.NDArray[np.int64], rng: np.random.Generator) -> Requantization:
        channels, info = acc.shape[-1], np.iinfo(dtype)
        largest = max(1, int(np.abs(acc).max()))
        if largest >= LARGEST_SHIFTED:
            return _wide(dtype)(acc, rng)
        offset = rng.integers(-largest, largest, channels, endpoint=True).astype(np.int32)
        room = 31 - (2 * largest).bit_length()
        left = int(rng.integers(0, room + 1))
        # Multipliers of TensorFlow Lite are at least 2**30. A product of 30 bits leaves room for half a divisor.
        multiplier = rng.integers(2**30, 2**31, channels)
        multiplier[rng.random(channels) < 0.2] = 2**30  # then ties occur
        shift = rng.integers(-min(30, largest.bit_length() + left + 1), room - left + 1, channels).astype(np.int8)
        zero_point = int(rng.integers(-128, 128))
        low, high = sorted(int(v) for v in rng.integers(max(info.min, -1 << 20), min(info.max, 1 << 20), 2))
        struct = arguments.requantize(
            "rounded", dtype, left_shift=left, zero_point=zero_point, minimum=low, maximum=high,
            multiplier=multiplier.astype(np.int32), offset=offset, shift=shift,
        )  # fmt: skip
        lefts, rights = left + np.maximum(shift, 0).astype(int), np.maximum(-shift, 0).astype(int)

        def level(a: int, c: int) -> int:
            found = golden.by_rounding(a, int(multiplier[c]), int(offset[c]), int(lefts[c]), int(rights[c]), zero_point)
            return min(max(found, low), high)

        return Requantization(struct, dtype, _each(acc, level))

    return maker


def _each(acc: npt.NDArray[np.int64], function: Callable[[int, int], int]) -> npt.NDArray[np.int64]:
    """function(accumulator, channel) of every element, in Python integers."""
    channels = acc.shape[-1]
    flat = [function(int(a), i % channels) for i, a in enumerate(acc.reshape(-1))]
    return np.array(flat, np.int64).reshape(acc.shape)


_MAKERS = {
    "multiplier": _multiplier("int8"),
    "multiplier_s16": _multiplier("int16"),
    "multiplier_s32": _multiplier("int32"),
    "shift": _shift,
    "threshold": _threshold("int8"),
    "threshold_s16": _threshold("int16"),
    "table": _table(shared=False),
    "shared_table": _table(shared=True),
    "keep_s16": _keep("int16"),
    "keep_s32": _keep("int32"),
    "wide": _wide("int8"),
    "wide_s16": _wide("int16"),
    "wide_s32": _wide("int32"),
    "long_s16": _long("int16"),
    "long_s32": _long("int32"),
    "packed": _packed("int8"),
    "packed_s16": _packed("int16"),
    "rounded": _rounded("int8"),
    "rounded_s32": _rounded("int32"),
}
