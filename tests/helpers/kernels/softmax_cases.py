"""Cases for softmax, and a function that runs one and compares every output with Python's integers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK

TYPES = ("int8", "int16", "int32")
SIZES = [(1, 1), (1, 2), (3, 5), (7, 1), (4, 10), (2, 257)]
"""(pixels, channels)."""
TABLES = [(1.0, 12), (0.05, 240), (1 / 256, 3020), (30.0, 2), (0.01, 3), (1.0, 1)]
"""(step, entries): down to 0, or cut off before."""


def _rounded(value: int, total: int) -> int:
    return min(((value << 15) + total // 2) // total, 32767)


def _expected(table: npt.NDArray[np.int32], pixel: list[int]) -> list[int]:
    e = [int(table[min(max(pixel) - level, len(table) - 1)]) for level in pixel]
    return [_rounded(value, sum(e)) for value in e]


def levels_of(dtype: str, size: tuple[int, int], entries: int) -> npt.NDArray[np.int64]:
    """Levels near each other and far apart, and the ends of the type."""
    rng, info = np.random.default_rng(entries), np.iinfo(dtype)
    middle = rng.integers(info.min, info.max + 1, (size[0], 1))
    levels = middle + rng.integers(-entries, entries + 1, size) * rng.choice([0, 1, 1, 1, 50], size)
    levels[0, :2] = [info.min, info.max][: size[1]]
    return np.clip(levels, info.min, info.max)


def run_softmax(library: KernelLibrary, dtype: str, size: tuple[int, int], step: float, entries: int) -> None:
    table = np.array([round(65536 * math.exp(-step * d)) for d in range(entries)], np.int32)
    x, output = levels_of(dtype, size, entries), np.full(size, -1, np.int16)
    params = arguments.softmax_params(dtype, entries)
    assert library.call("stq_softmax", params, table, *size, x.astype(dtype), output) == OK
    assert output.tolist() == [_expected(table, pixel) for pixel in x.tolist()]


def run_many_channels(library: KernelLibrary) -> None:
    """As many as the contract allows, all alike: the sum is as large as it can be."""
    channels = 32767
    output = np.zeros(channels, np.int16)
    params = arguments.softmax_params("int8", 1)
    table, x = np.array([65536], np.int32), np.zeros(channels, np.int8)
    assert library.call("stq_softmax", params, table, 1, channels, x, output) == OK
    assert (output == 1).all()
