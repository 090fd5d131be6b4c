"""Cases for max and average pooling: shapes, and one function each that runs a case and compares every output."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK, scratch_of

TYPES = ("int8", "int16", "int32")


@dataclass(frozen=True)
class PoolCase:
    """Pairs are (vertical, horizontal). The forms of requantization are average pooling's."""

    size: tuple[int, int]
    channels: int
    window: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    pad: tuple[int, int] = (0, 0)
    pad_after: tuple[int, int] = (0, 0)
    input_offset: int = 0
    dtype: str = "int8"
    form: str = "multiplier"

    @property
    def output_size(self) -> tuple[int, int]:
        rows, columns = (
            (n + before + after - window) // stride + 1
            for n, before, after, window, stride in zip(
                self.size, self.pad, self.pad_after, self.window, self.stride, strict=True
            )
        )
        return rows, columns

    def __str__(self) -> str:
        return "-".join(str(v).replace(" ", "") for v in self.__dict__.values())


def run_max_pool(library: KernelLibrary, case: PoolCase, *, in_place: bool = False) -> None:
    x = _levels(case, np.iinfo(case.dtype).max)
    levels = x.astype(case.dtype)
    output = levels if in_place else np.zeros((*case.output_size, case.channels), case.dtype)
    status = library.call(
        f"stq_max_pool_s{8 * levels.itemsize}",
        arguments.pool_params(case.window, case.stride, case.pad),
        arguments.dims(*case.size, case.channels),
        levels,
        arguments.dims(*case.output_size, case.channels),
        output,
    )
    assert status == OK
    expected = golden.max_pool(x, case.output_size, case.window, case.stride, case.pad)
    np.testing.assert_array_equal(output.reshape(-1)[: expected.size], expected.reshape(-1))


def run_average_pool(library: KernelLibrary, case: PoolCase, *, in_place: bool = False) -> None:
    rng = np.random.default_rng(zlib.crc32(str(case).encode()))
    counts = golden.window_counts(case.size, case.output_size, case.window, case.stride, case.pad)
    multiple = math.lcm(*(int(n) for n in counts.reshape(-1)))
    x = _levels(case, (2**31 - 1) // multiple - abs(case.input_offset))
    acc = golden.average_pool(x + case.input_offset, multiple, case.output_size, case.window, case.stride, case.pad)
    requantization = requantizations.make(case.form, acc, rng)
    levels = x.astype(case.dtype)
    scratch = scratch_of(library.call(f"stq_average_pool_s{8 * levels.itemsize}_get_buffer_size", case.channels), rng)
    output = levels if in_place else np.zeros(acc.shape, requantization.dtype)
    status = library.call(
        f"stq_average_pool_s{8 * levels.itemsize}",
        arguments.context(scratch),
        arguments.pool_params(case.window, case.stride, case.pad, case.input_offset, multiple),
        requantization.struct,
        arguments.dims(*case.size, case.channels),
        levels,
        arguments.dims(*case.output_size, case.channels),
        output,
    )
    assert status == OK
    written = output.reshape(-1).view(requantization.dtype)[: acc.size]
    np.testing.assert_array_equal(written, requantization.expected.reshape(-1))


def _levels(case: PoolCase, bound: int) -> npt.NDArray[np.int64]:
    """Levels of the type, extremes among them, of magnitude `bound` at most."""
    rng = np.random.default_rng(zlib.crc32(str(case).encode()) + 1)
    info = np.iinfo(case.dtype)
    low, high = max(info.min, -bound - 1), min(info.max, bound)
    levels = rng.integers(low, high + 1, (*case.size, case.channels))
    levels.reshape(-1)[:: max(1, levels.size // 3)] = rng.choice([low, high])
    return levels


SHAPES = [
    PoolCase((1, 1), 1, (1, 1), (1, 1)),
    PoolCase((4, 4), 1),
    PoolCase((4, 4), 2, input_offset=128),
    PoolCase((4, 6), 3, input_offset=-7),
    PoolCase((4, 4), 4, (1, 2), (1, 2), input_offset=3),
    PoolCase((5, 7), 5, (3, 2), (2, 3), (1, 0), (1, 1), input_offset=128),
    PoolCase((5, 5), 6, (3, 3), (1, 1), (1, 1), (1, 1), input_offset=-128),
    PoolCase((3, 6), 7, pad_after=(1, 0)),
    PoolCase((3, 3), 8, (3, 3), input_offset=128),
    PoolCase((5, 1), 9, (2, 1), (1, 1), (1, 0), (1, 0), input_offset=1),
    PoolCase((2, 3), 63, (2, 3)),
    PoolCase((2, 2), 65, (2, 2), (1, 1), (1, 1), (1, 1), input_offset=-1),
    PoolCase((4, 3), 130, (4, 1), (1, 1)),
    PoolCase((17, 17), 4, (17, 17), (1, 1), input_offset=128),  # more levels than an int16 lane could sum
]

POOLS = [
    replace(case, dtype=TYPES[(i + turn) % 3], form=requantizations.FORMS[(5 * i + turn) % len(requantizations.FORMS)])
    for turn in range(3)
    for i, case in enumerate(SHAPES)
]

IN_PLACE = [
    # No window begins before the place of its own output.
    replace(case, dtype=dtype, form="multiplier")
    for dtype in TYPES
    for case in (
        PoolCase((4, 4), 5),
        PoolCase((5, 7), 3, (3, 3), (1, 1)),
        PoolCase((6, 6), 66, (3, 2), (2, 2), (0, 0), (1, 0), input_offset=7),
        PoolCase((3, 3), 4, (2, 2), (1, 1), (0, 0), (1, 1)),
        PoolCase((8, 8), 1, (4, 4), (2, 2), (1, 1), (1, 1), input_offset=1),
    )
]
