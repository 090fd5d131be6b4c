"""A sample of the same cases on the real instruction set: compiled for the Cortex-M7 and run on Unicorn."""

from __future__ import annotations

import numpy as np
import pytest
import requantizations
from conftest import SANITIZE
from kernel_library import EmulatedLibrary
from weighted_cases import CONVOLUTIONS, DENSE, DEPTHWISE, OK, run_convolve, run_dense, run_depthwise

from stq_deploy.emulator import kernel_arguments as arguments
from stq_deploy.emulator.bare_metal import Struct
from stq_deploy.emulator.kernel_program import build_kernel_program
from stq_deploy.toolchain.compilers import candidates, probe

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(SANITIZE, reason="the sanitized run is for the host's library")

COMPILERS = {candidate.name: candidate for candidate in candidates()}


@pytest.fixture(scope="module", params=COMPILERS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EmulatedLibrary:
    compiler = probe(COMPILERS[request.param])
    if compiler is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    return EmulatedLibrary(build_kernel_program(compiler, "cortex_m7", folder))


def test_convolve(library: EmulatedLibrary) -> None:
    for case in CONVOLUTIONS:
        run_convolve(library, case)


def test_depthwise_convolve(library: EmulatedLibrary) -> None:
    for case in DEPTHWISE:
        run_depthwise(library, case)


def test_dense(library: EmulatedLibrary) -> None:
    for case in DENSE:
        run_dense(library, case)


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


@pytest.mark.parametrize("op", ["add", "multiply"])
def test_elementwise(library: EmulatedLibrary, op: str) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(-128, 128, (2, 3, 9))
    acc = (a + 1) * 3 + (b - 2) * -5 if op == "add" else (a + 1) * (b - 2)
    made = requantizations.make("multiplier", acc, rng)
    output = np.zeros(a.shape, made.dtype)
    params = Struct((arguments.TYPES["int8"], arguments.TYPES["int16"], 1, -2, 3, -5))
    scratch = arguments.context(np.zeros(9, np.int32))
    operands = (a.astype(np.int8), b.astype(np.int16))
    assert library.call(f"stq_{op}", scratch, params, made.struct, 3, 9, *operands, output) == OK
    np.testing.assert_array_equal(output, made.expected)
