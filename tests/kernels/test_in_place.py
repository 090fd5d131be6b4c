"""Kernels whose contract lets the output replace an input do so, in both implementations."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.kernels import golden, requantizations
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels.bare_metal import Struct
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK, random_levels, scratch_of


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 8, 17])
@pytest.mark.parametrize(
    ("size", "window", "stride", "pad", "output_size"),
    [
        ((4, 4), (2, 2), (2, 2), (0, 0), (2, 2)),
        ((3, 5), (1, 1), (1, 1), (0, 0), (3, 5)),
        ((5, 7), (3, 3), (1, 1), (0, 0), (3, 5)),
        ((6, 5), (3, 2), (2, 1), (0, 0), (3, 5)),  # "same": windows half outside at the bottom and right
        ((1, 9), (1, 3), (1, 2), (0, 0), (1, 5)),
        ((9, 4), (3, 3), (3, 2), (1, 0), (3, 2)),  # padding before, which the stride makes up for
    ],
)
def test_max_pool_over_its_input(
    library: KernelLibrary,
    channels: int,
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    output_size: tuple[int, int],
) -> None:
    for y, x in np.ndindex(*output_size):  # what the contract asks
        first = max(0, y * stride[0] - pad[0]) * size[1] + max(0, x * stride[1] - pad[1])
        assert first >= y * output_size[1] + x
    rng = np.random.default_rng(channels)
    levels = random_levels(rng, (*size, channels), "int8", 0)
    memory = levels.astype(np.int8)
    status = library.call(
        "stq_max_pool_s8",
        arguments.pool_params(window, stride, pad),
        arguments.dims(*size, channels),
        memory,
        arguments.dims(*output_size, channels),
        memory,
    )
    assert status == OK
    output = memory.reshape(-1)[: output_size[0] * output_size[1] * channels].reshape(*output_size, channels)
    np.testing.assert_array_equal(output, golden.max_pool(levels, output_size, window, stride, pad))


BYTES = {"int8": 1, "int16": 2}
CASES = [
    (a, b, onto, output)
    for a in BYTES
    for b in BYTES
    for onto in ("a", "b", "both")
    for output in BYTES
    if BYTES[output] <= BYTES[b if onto == "b" else a]
]
"""Types of a and b, which of them the output replaces ("both": a sum of a tensor with itself), type of the output."""


@pytest.mark.parametrize("op", ["add", "multiply"])
@pytest.mark.parametrize(("a_type", "b_type", "onto", "output_type"), CASES)
@pytest.mark.parametrize(("pixels", "channels"), [(1, 1), (3, 4), (2, 17)])
def test_elementwise_over_an_input(
    library: KernelLibrary, op: str, a_type: str, b_type: str, onto: str, output_type: str, pixels: int, channels: int
) -> None:
    rng = np.random.default_rng(pixels * channels)
    a, b = (rng.integers(-60, 61, (pixels, channels)).astype(dtype) for dtype in (a_type, b_type))
    b = a if onto == "both" else b
    x, y = (levels.astype(np.int64) + offset for levels, offset in ((a, -3), (b, 7)))
    form = {"int8": "multiplier", "int16": "multiplier_s16"}[output_type]
    requantization = requantizations.make(form, x * 5 - y * 2 if op == "add" else x * y, rng)
    memory = b if onto == "b" else a
    scratch = scratch_of(library.call(f"stq_{op}_get_buffer_size", channels), rng)
    status = library.call(
        f"stq_{op}",
        arguments.context(scratch),
        Struct((arguments.TYPES[a.dtype.name], arguments.TYPES[b.dtype.name], -3, 7, 5, -2)),
        requantization.struct,
        pixels,
        channels,
        a,
        b,
        memory,
    )
    assert status == OK
    output = memory.reshape(-1).view(output_type)[: pixels * channels].reshape(pixels, channels)
    np.testing.assert_array_equal(output, requantization.expected)
