"""Gather convolutions against plain NumPy: every height and width modulo the lanes, halos, worst sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels import requantizations
from tests.helpers.kernels.gather_cases import EVERY_CASE, KINDS, WORST, GatherCase, run_gather
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary
from tests.helpers.kernels.kernel_settings import PROPERTY
from tests.helpers.kernels.weighted_cases import WindowCase

ARGUMENT_ERROR = -1


@pytest.mark.parametrize("case", EVERY_CASE, ids=str)
def test_gather(library: KernelLibrary, case: GatherCase) -> None:
    run_gather(library, case)


@pytest.mark.parametrize("case", [case for case in EVERY_CASE if case.may_replace], ids=str)
def test_gather_over_its_input(library: KernelLibrary, case: GatherCase) -> None:
    run_gather(library, case, in_place=True)


def test_most_layers_may_write_over_their_input() -> None:
    """All but those whose stride skips pixels, which the table then lacks."""
    spared = [case for case in EVERY_CASE if not case.may_replace]
    assert 0 < len(spared) < len(EVERY_CASE) // 10
    assert all(max(case.window.stride) > 1 for case in spared)


def test_worst_sums_end_at_the_edge_of_int16() -> None:
    """The cases are what they say: one more input would leave int16, and the last block of bytes is not the first."""
    for case in WORST:
        largest = case.levels[1] * (2 if case.fill == "minus" and case.weight_offset == 2 else 1)
        assert largest * case.window.channels <= 32767 < largest * (case.window.channels + 1)
        assert case.window.channels > 255 // largest


@st.composite
def gathers(draw: st.DrawFn) -> GatherCase:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, dilation, stride = pair(1, 4), pair(1, 3), pair(1, 3)
    pad = (draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1)))
    pad_after = (draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1)))
    reach = [(kernel[i] - 1) * dilation[i] + 1 for i in range(2)]
    height, width = (draw(st.integers(max(1, reach[i] - pad[i] - pad_after[i]), 19)) for i in range(2))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    lanes, bits, weight_offset, dtype, levels, input_offset = draw(st.sampled_from(KINDS))
    window = WindowCase(
        height, width, groups * draw(st.integers(1, 17 // groups)), groups * draw(st.integers(1, 3)), kernel, stride,
        pad, pad_after, dilation, input_offset, bits, dtype, draw(st.sampled_from(requantizations.FORMS)),
        weight_offset, groups,
    )  # fmt: skip
    return GatherCase(window, lanes, levels, draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])))


@PROPERTY
@given(case=gathers())
def test_gather_random_shapes(host_libraries: dict[str, HostLibrary], case: GatherCase) -> None:
    for library in host_libraries.values():
        run_gather(library, case)


def call(library: KernelLibrary, *, levels: tuple[int, int] = (0, 15), shape: tuple[int, int, int] = (4, 4, 8),
         missing: int = 0, groups: int = 1) -> int:  # fmt: skip
    """The answer to a valid pointwise call; each argument changes one thing."""
    window = arguments.conv_params(0, 1)
    params = arguments.gather_params(window, levels)
    input_dims, filter_dims = arguments.dims(*shape), arguments.dims(1, 1, shape[2] // groups)
    output_dims = arguments.dims(shape[0], shape[1], 1)
    name = "stq_gather8_t2_s8"
    size = library.call(f"{name}_get_buffer_size", params, input_dims, filter_dims, output_dims) - missing
    output = np.full(shape[:2], 99, np.int8)
    status = library.call(
        name, arguments.context(np.zeros(size // 4, np.int32)), params,
        arguments.requantize("keep"), input_dims, np.zeros(shape, np.int8), filter_dims,
        np.full(-(-shape[2] // 16), 0x55555555, np.uint32), output_dims, output,
    )  # fmt: skip
    assert status == 0 or (output == 99).all()
    return status


def test_wrong_arguments_are_refused(library: KernelLibrary) -> None:
    assert call(library) == 0
    assert call(library, missing=4) == ARGUMENT_ERROR
    assert call(library, levels=(3, 2)) == ARGUMENT_ERROR
    assert call(library, levels=(-128, 128)) == ARGUMENT_ERROR
    assert call(library, groups=3) == ARGUMENT_ERROR


def test_offsets_that_no_halfword_holds_are_refused(library: KernelLibrary) -> None:
    assert call(library, shape=(8, 512, 128)) == 0
    assert call(library, shape=(8, 512, 129)) == ARGUMENT_ERROR


def test_groups_of_four_weights_and_single_ones_give_the_same(library: KernelLibrary) -> None:
    """8 channels are decoded by codes, 7 and 9 one by one; a channel of zeros changes nothing."""
    for channels in (7, 8, 9, 16):
        run_gather(library, GatherCase(replace(WindowCase(5, 5, channels, 3), form="packed")))
