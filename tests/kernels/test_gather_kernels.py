"""Gather convolutions against plain NumPy: every height and width modulo the lanes, halos, worst sums."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.kernels import requantizations
from tests.helpers.kernels.gather_cases import EVERY_CASE, KINDS, STEEPEST, WORST, GatherCase, run_gather
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary
from tests.helpers.kernels.kernel_settings import PROPERTY
from tests.helpers.kernels.lane_cases import call_pointwise
from tests.helpers.kernels.random_windows import windows
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
        steepest = STEEPEST[case.window.bits, case.weight_offset][case.fill == "minus"]
        largest = case.levels[1] * steepest
        assert largest * case.window.channels <= 32767 < largest * (case.window.channels + 1)
        assert case.window.channels > 255 // largest


@st.composite
def gathers(draw: st.DrawFn) -> GatherCase:
    window, groups = draw(windows(most_dilation=3, most_size=19)), draw(st.sampled_from([1, 1, 1, 2, 3]))
    lanes, bits, weight_offset, dtype, levels, input_offset = draw(st.sampled_from(KINDS))
    window = replace(
        window, channels=groups * draw(st.integers(1, 17 // groups)), outputs=groups * draw(st.integers(1, 3)),
        input_offset=input_offset, bits=bits, input_type=dtype, form=draw(st.sampled_from(requantizations.FORMS)),
        weight_offset=weight_offset, groups=groups,
    )  # fmt: skip
    return GatherCase(window, levels, draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])), lanes=lanes)


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
