"""Pooling, tables and elementwise kernels against plain NumPy."""

from __future__ import annotations

import golden
import numpy as np
import pytest
import requantizations
from kernel_library import KernelLibrary
from weighted_cases import OK, random_levels, scratch_of

from stq_deploy.emulator import kernel_arguments as arguments
from stq_deploy.emulator.bare_metal import Struct

COUNTS = [0, 1, 3, 4, 5, 15, 16, 17, 100]


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 8, 17])
@pytest.mark.parametrize(
    ("size", "window", "stride", "pad", "output_size"),
    [
        ((4, 4), (2, 2), (2, 2), (0, 0), (2, 2)),
        ((1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
        ((5, 7), (3, 2), (2, 3), (1, 0), (3, 2)),
        ((5, 5), (3, 3), (1, 1), (1, 1), (5, 5)),
        ((3, 6), (2, 2), (2, 2), (0, 0), (2, 3)),  # "same": a window half outside at the bottom
    ],
)
def test_max_pool(
    library: KernelLibrary,
    channels: int,
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    output_size: tuple[int, int],
) -> None:
    rng = np.random.default_rng(channels)
    x = random_levels(rng, (*size, channels), "int8", 0)
    output = np.zeros((*output_size, channels), np.int8)
    status = library.call(
        "stq_max_pool_s8",
        arguments.pool_params(window, stride, pad),
        arguments.dims(*size, channels),
        x.astype(np.int8),
        arguments.dims(*output_size, channels),
        output,
    )
    assert status == OK
    np.testing.assert_array_equal(output, golden.max_pool(x, output_size, window, stride, pad))


def test_max_pool_of_every_pair_of_levels(library: KernelLibrary) -> None:
    """The packed comparison has signs to get wrong: all 65,536 pairs."""
    a, b = (grid.reshape(-1) for grid in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    output = np.zeros(len(a), np.int8)
    library.call(
        "stq_max_pool_s8",
        arguments.pool_params((1, 2), (1, 2)),
        arguments.dims(1, 2, len(a)),
        np.stack([a, b]).astype(np.int8),
        arguments.dims(1, 1, len(a)),
        output,
    )
    np.testing.assert_array_equal(output, np.maximum(a, b))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("in_place", [False, True])
def test_table(library: KernelLibrary, count: int, in_place: bool) -> None:
    rng = np.random.default_rng(count)
    table = rng.integers(-128, 128, 256).astype(np.int8)
    x = random_levels(rng, (count + 1,), "int8", 0)[:count].astype(np.int8)
    expected = [table[int(level) + 128] for level in x]
    output = x if in_place else np.zeros(count, np.int8)
    assert library.call("stq_table_s8", table, count, x, output) == OK
    assert list(output) == expected


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("onto", ["new", "a", "b"])
def test_pair_table(library: KernelLibrary, count: int, onto: str) -> None:
    rng = np.random.default_rng(count)
    a_minimum, a_levels, b_minimum, b_levels = -5, 9, 3, 17
    table = rng.integers(-128, 128, (a_levels, b_levels)).astype(np.int8)
    a = rng.integers(a_minimum, a_minimum + a_levels, count).astype(np.int8)
    b = rng.integers(b_minimum, b_minimum + b_levels, count).astype(np.int8)
    expected = [table[int(x) - a_minimum, int(y) - b_minimum] for x, y in zip(a, b, strict=True)]
    output = {"new": np.zeros(count, np.int8), "a": a, "b": b}[onto]
    params = Struct((a_minimum, b_minimum, b_levels))
    assert library.call("stq_pair_table_s8", params, table, count, a, b, output) == OK
    assert list(output) == expected


@pytest.mark.parametrize("op", ["add", "multiply"])
@pytest.mark.parametrize("types", [("int8", "int8"), ("int8", "int16"), ("int16", "int8"), ("int16", "int16")])
@pytest.mark.parametrize(("pixels", "channels"), [(1, 1), (3, 4), (2, 17), (5, 8)])
@pytest.mark.parametrize("form", ["multiplier", "table", "keep_s32"])
def test_elementwise(
    library: KernelLibrary, op: str, types: tuple[str, str], pixels: int, channels: int, form: str
) -> None:
    rng = np.random.default_rng(pixels * channels)
    bound = 60  # tables of products stay small
    a, b = (rng.integers(-bound, bound + 1, (pixels, channels)) for _ in types)
    a_offset, b_offset, a_factor, b_factor = -3, 7, 5, -2
    acc = (a + a_offset) * a_factor + (b + b_offset) * b_factor if op == "add" else (a + a_offset) * (b + b_offset)
    requantization = requantizations.make(form, acc, rng)
    scratch = scratch_of(library.call(f"stq_{op}_get_buffer_size", channels), rng)
    output = np.zeros((pixels, channels), requantization.dtype)
    status = library.call(
        f"stq_{op}",
        arguments.context(scratch),
        Struct((arguments.TYPES[types[0]], arguments.TYPES[types[1]], a_offset, b_offset, a_factor, b_factor)),
        requantization.struct,
        pixels,
        channels,
        a.astype(types[0]),
        b.astype(types[1]),
        output,
    )
    assert status == OK
    np.testing.assert_array_equal(output, requantization.expected)
