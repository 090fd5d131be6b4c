"""Convolution, depthwise convolution and dense layers against plain NumPy, over tables of shapes and random ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.kernels import requantizations
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary
from tests.helpers.kernels.kernel_settings import PROPERTY
from tests.helpers.kernels.random_windows import windows
from tests.helpers.kernels.weighted_cases import (
    CONVOLUTIONS,
    DENSE,
    DEPTHWISE,
    KINDS,
    DenseCase,
    WindowCase,
    run_convolve,
    run_dense,
    run_depthwise,
)


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolve(library: KernelLibrary, case: WindowCase) -> None:
    run_convolve(library, case)


@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
def test_depthwise_convolve(library: KernelLibrary, case: WindowCase) -> None:
    run_depthwise(library, case)


@pytest.mark.parametrize("case", DENSE, ids=str)
def test_dense(library: KernelLibrary, case: DenseCase) -> None:
    run_dense(library, case)


@pytest.mark.parametrize(("weight", "weight_offset"), [(-1, 1), (1, 1), (0, 0), (1, 0)])
@pytest.mark.parametrize("inputs", [16, 33])
def test_one_bit_weights_that_are_all_equal(
    library: KernelLibrary, inputs: int, weight: int, weight_offset: int
) -> None:
    run_dense(library, DenseCase(inputs, 3, 5, bits=1, weight_offset=weight_offset), weight)


def test_ternary_weights_stored_with_offset_two(library: KernelLibrary) -> None:
    """2-bit weights -2..1."""
    run_convolve(library, WindowCase(4, 4, 5, 3, weight_offset=2, input_offset=128))
    run_depthwise(library, WindowCase(4, 4, 5, 5, weight_offset=2, input_offset=128))


@st.composite
def convolutions(draw: st.DrawFn, depthwise: bool) -> WindowCase:
    window = draw(windows(most_dilation=2, most_size=9))
    groups = 1 if depthwise else draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels = draw(st.integers(1, 37)) if depthwise else groups * draw(st.integers(1, 19 // groups))
    outputs = channels * draw(st.sampled_from([1, 1, 1, 2, 3])) if depthwise else groups * draw(st.integers(1, 9))
    bits, weight_offset, input_type = draw(st.sampled_from(KINDS))
    return replace(
        window,
        channels=channels,
        outputs=outputs,
        input_offset=draw(st.integers(-128, 128)),
        bits=bits,
        weight_offset=weight_offset,
        input_type=input_type,
        form=draw(st.sampled_from(requantizations.FORMS)),
        groups=groups,
    )


@PROPERTY
@given(case=convolutions(depthwise=False))
def test_convolve_random_shapes(host_libraries: dict[str, HostLibrary], case: WindowCase) -> None:
    for library in host_libraries.values():
        run_convolve(library, case)


@PROPERTY
@given(case=convolutions(depthwise=True))
def test_depthwise_convolve_random_shapes(host_libraries: dict[str, HostLibrary], case: WindowCase) -> None:
    for library in host_libraries.values():
        run_depthwise(library, case)


@st.composite
def vectors(draw: st.DrawFn) -> DenseCase:
    bits, weight_offset, input_type = draw(st.sampled_from(KINDS))
    return DenseCase(
        inputs=draw(st.integers(1, 100)),
        outputs=draw(st.integers(1, 20)),
        input_offset=draw(st.integers(-128, 128)),
        bits=bits,
        weight_offset=weight_offset,
        input_type=input_type,
        form=draw(st.sampled_from(requantizations.FORMS)),
    )


@PROPERTY
@given(case=vectors())
def test_dense_random_shapes(host_libraries: dict[str, HostLibrary], case: DenseCase) -> None:
    for library in host_libraries.values():
        run_dense(library, case)
