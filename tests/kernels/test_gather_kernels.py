"""Gather convolutions against plain NumPy: every height and width modulo the lanes, halos, worst sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.program.coded_rows import unpack_gaps, unpack_trits
from stq_deploy.program.weights import WeightPacking
from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels import requantizations
from tests.helpers.kernels.bare_metal import Argument, Struct
from tests.helpers.kernels.gather_cases import (
    EVERY_CASE,
    KINDS,
    STEEPEST,
    WORST,
    GatherCase,
    coded,
    run_every_code,
    run_every_count,
    run_gather,
)
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary
from tests.helpers.kernels.kernel_settings import PROPERTY
from tests.helpers.kernels.lane_cases import call_pointwise, case_levels, case_sums, run_kernel
from tests.helpers.kernels.random_windows import windows
from tests.helpers.kernels.weighted_cases import WindowCase

ARGUMENT_ERROR = -1


@pytest.mark.parametrize("case", EVERY_CASE, ids=str)
def test_gather(library: KernelLibrary, case: GatherCase) -> None:
    run_gather(library, case)


@pytest.mark.parametrize("case", [case for case in EVERY_CASE if case.may_replace], ids=str)
def test_gather_over_its_input(library: KernelLibrary, case: GatherCase) -> None:
    run_gather(library, case, in_place=True)


def test_lists_of_every_length(library: KernelLibrary) -> None:
    run_every_count(library)


def test_every_code_of_four_weights(library: KernelLibrary) -> None:
    run_every_code(library)


def test_most_layers_may_write_over_their_input() -> None:
    """All but those whose stride skips pixels, which the table then lacks."""
    spared = [case for case in EVERY_CASE if not case.may_replace]
    assert 0 < len(spared) < len(EVERY_CASE) // 10
    assert all(max(case.window.stride) > 1 for case in spared)


def test_worst_sums_end_at_the_edge_of_int16() -> None:
    """The cases are what they say: one more input would leave int16, and the last block of bytes is not the first."""
    for case in WORST:
        steepest = STEEPEST[case.window.bits, case.weight_offset][case.fill == "minus"]
        largest = case.levels[1] * steepest
        assert largest * case.window.channels <= 32767 < largest * (case.window.channels + 1)
        assert case.window.channels > 255 // largest


@pytest.mark.parametrize("packing", ["trits", "gaps"])
@pytest.mark.parametrize("channels", [8, 5])
def test_any_words_are_weights(library: KernelLibrary, packing: WeightPacking, channels: int) -> None:
    """A damaged array gives the sums of other weights, and nothing beyond the array is read (the sanitizers watch)."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        window = WindowCase(4, 5, channels, 7, bits=2, form="keep_s16", weight_offset=1)
        case, gap_bits = GatherCase(window, packing=packing), seed % 4 if packing == "gaps" else 0
        shape = (3, 3, channels, 7)
        count = int(np.prod(shape))
        length = -(-count // 20) if packing == "trits" else int(rng.integers(1, 40))
        # Some have long runs of bits 0, of which gaps may be.
        words = rng.integers(0, 1 << 32, length).astype(np.uint32) * rng.integers(0, 2, length).astype(np.uint32)
        if packing == "trits":
            weights = unpack_trits(words, count)
        else:
            words[-1] = 0
            weights = unpack_gaps(words, gap_bits, count)
        expected = weights.reshape(7, -1).T.reshape(shape).astype(np.int64)
        x = case_levels(case, rng)
        packed = arguments.coded_weights(words, gap_bits)
        run_kernel(library, case.name, case, x, shape[:3], packed, case_sums(case, x, expected), rng)


@pytest.mark.parametrize("gap_bits", [0, 3])
def test_the_last_word_of_gaps_may_hold_anything(library: KernelLibrary, gap_bits: int) -> None:
    """Then no weights are promised, but every read and write stays within the arrays."""
    window = WindowCase(4, 4, 8, 9, bits=2, form="keep_s16", weight_offset=1)
    case = GatherCase(window, packing="gaps", gap_bits=gap_bits)
    for seed in range(30):
        words = np.random.default_rng(seed).integers(0, 1 << 32, 1 + seed % 5).astype(np.uint32)
        sums = coded_call(library, case, arguments.coded_weights(words, gap_bits))
        assert sums is not None and np.abs(sums).max() <= 9 * 8 * 15


def test_wrong_codes_are_refused(library: KernelLibrary) -> None:
    window = WindowCase(4, 4, 8, 9, bits=2, form="keep_s16", weight_offset=1)
    trits, gaps = GatherCase(window, packing="trits"), GatherCase(window, packing="gaps")
    words = np.zeros(33, np.uint32)  # 648 weights
    assert coded_call(library, trits, arguments.coded_weights(words)) is not None
    assert coded_call(library, trits, arguments.coded_weights(words[:32])) is None
    for count, gap_bits, valid in ((1, 0, True), (1, 3, True), (0, 0, False), (1, 4, False), (1, -1, False)):
        made = coded_call(library, gaps, Struct((words, count, gap_bits)))
        assert (made is not None) is valid
    assert coded_call(library, gaps, Struct((None, 1, 0))) is None
    assert coded_call(library, gaps, None) is None


def coded_call(library: KernelLibrary, case: GatherCase, weights: Argument) -> np.ndarray[Any, Any] | None:
    """The sums of a convolution of the highest levels with any weights; None if the kernel refuses, writing nothing."""
    window = case.window
    params = arguments.gather_params(arguments.conv_params(0, 1), case.levels)
    dims = arguments.dims(4, 4, window.channels), arguments.dims(3, 3, window.channels), arguments.dims(2, 2, 9)
    size = library.call(f"{case.name}_get_buffer_size", params, *dims)
    output = np.full((2, 2, 9), 9999, np.int16)
    status = library.call(
        case.name, arguments.context(np.zeros(size // 4, np.int32)), params, arguments.requantize("keep", "int16"),
        dims[0], np.full((4, 4, window.channels), 15, np.int8), dims[1], weights, dims[2], output,
    )  # fmt: skip
    assert status in (0, ARGUMENT_ERROR)
    assert (output == 9999).all() == (status != 0)
    return output if status == 0 else None


@st.composite
def gathers(draw: st.DrawFn) -> GatherCase:
    window, groups = draw(windows(most_dilation=3, most_size=19)), draw(st.sampled_from([1, 1, 1, 2, 3]))
    lanes, bits, weight_offset, dtype, levels, input_offset = draw(st.sampled_from(KINDS))
    window = replace(
        window, channels=groups * draw(st.integers(1, 17 // groups)), outputs=groups * draw(st.integers(1, 3)),
        input_offset=input_offset, bits=bits, input_type=dtype, form=draw(st.sampled_from(requantizations.FORMS)),
        weight_offset=weight_offset, groups=groups,
    )  # fmt: skip
    case = GatherCase(window, levels, draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])), lanes=lanes)
    if (bits, weight_offset) != (2, 1) or draw(st.booleans()):
        return case
    return coded(case, draw(st.integers(0, 23)))


@PROPERTY
@given(case=gathers())
def test_gather_random_shapes(host_libraries: dict[str, HostLibrary], case: GatherCase) -> None:
    for library in host_libraries.values():
        run_gather(library, case)


def call(library: KernelLibrary, shape: tuple[int, int, int] = (4, 4, 8), groups: int = 1, **changed: Any) -> int:
    """The answer to a valid pointwise call; each argument changes one thing."""
    return call_pointwise(library, "stq_gather8_t2_s8", shape, shape[2] // groups, 1, **changed)


def test_wrong_arguments_are_refused(library: KernelLibrary) -> None:
    assert call(library) == 0
    assert call(library, missing=4) == ARGUMENT_ERROR
    assert call(library, levels=(3, 2)) == ARGUMENT_ERROR
    assert call(library, levels=(-128, 128)) == ARGUMENT_ERROR
    assert call(library, groups=3) == ARGUMENT_ERROR


def test_offsets_that_no_halfword_holds_are_refused(library: KernelLibrary) -> None:
    assert call(library, (8, 512, 128)) == 0
    assert call(library, (8, 512, 129)) == ARGUMENT_ERROR


def test_groups_of_four_weights_and_single_ones_give_the_same(library: KernelLibrary) -> None:
    """8 channels are decoded by codes, 7 and 9 one by one; a channel of zeros changes nothing."""
    for channels in (7, 8, 9, 16):
        run_gather(library, GatherCase(replace(WindowCase(5, 5, channels, 3), form="packed")))
