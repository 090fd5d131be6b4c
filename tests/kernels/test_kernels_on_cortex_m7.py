"""A sample of the same cases on the real instruction set: compiled for the Cortex-M7 and run on Unicorn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.toolchain.compilers import Compiler, candidates, probe
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels import requantizations
from tests.helpers.kernels.bare_metal import Struct
from tests.helpers.kernels.curve_cases import CURVES, run_curve
from tests.helpers.kernels.depthwise8_cases import EVERY_CASE as LANES_CASES
from tests.helpers.kernels.depthwise8_cases import run_depthwise8
from tests.helpers.kernels.elementwise_cases import (
    ELEMENTWISE,
    ELEMENTWISE_IN_PLACE,
    RESCALES,
    run_elementwise,
    run_rescale,
)
from tests.helpers.kernels.gather_cases import EVERY_CASE, run_every_code, run_every_count, run_gather
from tests.helpers.kernels.kernel_library import EmulatedLibrary
from tests.helpers.kernels.kernel_settings import SANITIZE
from tests.helpers.kernels.movement_cases import (
    CONCATENATIONS,
    CROPS,
    PADS,
    TYPES,
    UPSAMPLES,
    run_concatenate,
    run_crop,
    run_pad,
    run_upsample,
)
from tests.helpers.kernels.noise_cases import NOISES, run_noise
from tests.helpers.kernels.pooling_cases import IN_PLACE as POOLS_IN_PLACE
from tests.helpers.kernels.pooling_cases import POOLS, run_average_pool, run_max_pool
from tests.helpers.kernels.softmax_cases import SIZES, TABLES, run_many_channels, run_softmax
from tests.helpers.kernels.weighted_cases import (
    CONVOLUTIONS,
    DENSE,
    DEPTHWISE,
    OK,
    run_convolve,
    run_dense,
    run_depthwise,
)

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(SANITIZE, reason="the sanitized run is for the host's library")

COMPILERS = {candidate.name: candidate for candidate in candidates()}


@pytest.fixture(scope="module", params=COMPILERS)
def library(request: pytest.FixtureRequest, kernel_program: Callable[[Compiler], Path]) -> EmulatedLibrary:
    compiler = probe(COMPILERS[request.param])
    if compiler is None:
        pytest.skip(f"{request.param} is not installed")
    return EmulatedLibrary(kernel_program(compiler))


def test_convolve(library: EmulatedLibrary) -> None:
    for case in CONVOLUTIONS:
        run_convolve(library, case)


def test_gather(library: EmulatedLibrary) -> None:
    for case in EVERY_CASE:
        run_gather(library, case)
    run_every_count(library)
    run_every_code(library)


def test_depthwise_on_lanes(library: EmulatedLibrary) -> None:
    for case in LANES_CASES:
        run_depthwise8(library, case)


def test_depthwise_convolve(library: EmulatedLibrary) -> None:
    for case in DEPTHWISE:
        run_depthwise(library, case)


def test_dense(library: EmulatedLibrary) -> None:
    for case in DENSE:
        run_dense(library, case)


def test_noise(library: EmulatedLibrary) -> None:
    for number, case in enumerate(NOISES):
        run_noise(library, case, in_place=number % 2 == 0)


@pytest.mark.parametrize("form", requantizations.FORMS)
def test_requantize(library: EmulatedLibrary, form: str) -> None:
    rng = np.random.default_rng(0)
    for channels in (1, 4, 7, 30):
        acc = rng.integers(-3000, 3000, channels)
        made = requantizations.make(form, acc, rng)
        output = np.zeros(channels, made.dtype)
        library.call("stq_requantize_pixel", made.struct, acc.astype(np.int32), 0, channels, output)
        np.testing.assert_array_equal(output, made.expected)


def test_max_pool_of_every_pair_of_levels(library: EmulatedLibrary) -> None:
    a, b = (grid.reshape(-1) for grid in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    output = np.zeros(len(a), np.int8)
    status = library.call(
        "stq_max_pool_s8",
        arguments.pool_params((1, 2), (1, 2)),
        arguments.dims(1, 2, len(a)),
        np.stack([a, b]).astype(np.int8),
        arguments.dims(1, 1, len(a)),
        output,
    )
    assert status == OK
    np.testing.assert_array_equal(output, np.maximum(a, b))


def test_tables(library: EmulatedLibrary) -> None:
    rng = np.random.default_rng(1)
    for count in (1, 4, 7, 33):
        x = rng.integers(-128, 128, count).astype(np.int8)
        y = rng.integers(-128, 128, count).astype(np.int8)
        output = np.zeros(count, np.int8)
        table = rng.integers(-128, 128, 256).astype(np.int8)
        library.call("stq_table_s8", table, count, x, output)
        np.testing.assert_array_equal(output, table[x.astype(int) + 128])
        pairs = rng.integers(-128, 128, (256, 256)).astype(np.int8)
        library.call("stq_pair_table_s8", Struct((-128, -128, 256)), pairs, count, x, y, output)
        np.testing.assert_array_equal(output, pairs[x.astype(int) + 128, y.astype(int) + 128])
        for a_minimum, a_levels, b_minimum, b_levels in ((0, 16, 5, 7), (-8, 16, -8, 16), (0, 17, 0, 16)):
            small = rng.integers(-128, 128, (a_levels, b_levels)).astype(np.int8)
            a = rng.integers(0, a_levels, count)
            b = rng.integers(0, b_levels, count)
            params = Struct((a_minimum, b_minimum, b_levels))
            x, y = (a + a_minimum).astype(np.int8), (b + b_minimum).astype(np.int8)
            library.call("stq_pair_table_s8", params, small, count, x, y, output)
            np.testing.assert_array_equal(output, small[a, b])


def test_pools(library: EmulatedLibrary) -> None:
    for case in POOLS:
        run_max_pool(library, case)
        run_average_pool(library, case)
    for case in POOLS_IN_PLACE:
        run_max_pool(library, case, in_place=True)
        run_average_pool(library, case, in_place=True)


def test_curve(library: EmulatedLibrary) -> None:
    for case in CURVES:
        run_curve(library, case)


def test_softmax(library: EmulatedLibrary) -> None:
    for dtype in TYPES:
        for size in SIZES:
            for step, entries in TABLES:
                run_softmax(library, dtype, size, step, entries)
    run_many_channels(library)


def test_elementwise(library: EmulatedLibrary) -> None:
    for case in ELEMENTWISE:
        run_elementwise(library, case)
    for case, onto in ELEMENTWISE_IN_PLACE:
        run_elementwise(library, case, onto)
    for rescale in RESCALES:
        run_rescale(library, rescale)


def test_movement(library: EmulatedLibrary) -> None:
    for dtype in TYPES:
        for shape, before, after in PADS:
            run_pad(library, shape, before, after, dtype, -7)
        for shape, before, size in CROPS:
            run_crop(library, shape, before, size, dtype)
            run_crop(library, shape, before, size, dtype, in_place=True)
        for shape, size in UPSAMPLES:
            run_upsample(library, shape, size, dtype)
    for concatenation in CONCATENATIONS:
        run_concatenate(library, *concatenation)
