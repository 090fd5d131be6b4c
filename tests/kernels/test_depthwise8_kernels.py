"""Depthwise convolutions on lanes of bytes: against plain NumPy, what they refuse, and the estimates of the planner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.network.ops import DepthwiseConvolve, Window
from stq_deploy.network.requantize import KeepAccumulator, MultiplierRequantize, TableRequantize
from stq_deploy.program.kernels.choice import candidates, choose
from stq_deploy.program.kernels.work import Work
from stq_deploy.toolchain.compilers import Compiler, find_compiler
from tests.helpers.kernels import requantizations
from tests.helpers.kernels.bare_metal import BareMetalProgram
from tests.helpers.kernels.depthwise8_cases import EVERY_CASE, FULL_BYTE, KINDS, WORST, DepthwiseCase, run_depthwise8
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary
from tests.helpers.kernels.kernel_settings import PROPERTY, SANITIZE
from tests.helpers.kernels.lane_cases import call_pointwise
from tests.helpers.kernels.random_windows import windows
from tests.helpers.kernels.work_bench import run_convolution

ARGUMENT_ERROR = -1
LANES, PLAIN = "stq_depthwise8_t2_s8", "stq_depthwise_convolve_t2_s8"


@pytest.mark.parametrize("case", EVERY_CASE, ids=str)
def test_depthwise_on_lanes(library: KernelLibrary, case: DepthwiseCase) -> None:
    run_depthwise8(library, case)


def test_worst_sums_fill_a_byte() -> None:
    """Some cases are what they say: one more tap would leave the byte."""
    taps = [case.window.kernel[0] * case.window.kernel[1] * case.full for case in WORST if case.fill == "minus"]
    assert max(taps) == FULL_BYTE


@st.composite
def lanes(draw: st.DrawFn) -> DepthwiseCase:
    window, channels = draw(windows(most_dilation=3, most_size=19)), draw(st.integers(1, 19))
    taps = window.kernel[0] * window.kernel[1]
    usable = [kind for kind in KINDS if kind[0] == 2 or taps * (kind[2][1] - kind[2][0]) <= FULL_BYTE]
    bits, weight_offset, levels, input_offset = draw(st.sampled_from(usable))
    window = replace(
        window, channels=channels, outputs=channels, input_offset=input_offset, bits=bits,
        form=draw(st.sampled_from(requantizations.FORMS)), weight_offset=weight_offset,
    )  # fmt: skip
    return DepthwiseCase(window, levels, draw(st.sampled_from([0.0, 0.3, 0.7, 1.0])))


@PROPERTY
@given(case=lanes())
def test_random_shapes(host_libraries: dict[str, HostLibrary], case: DepthwiseCase) -> None:
    for library in host_libraries.values():
        run_depthwise8(library, case)


def test_wrong_arguments_are_refused(library: KernelLibrary) -> None:
    def call(outputs: int = 8, **changed: Any) -> int:
        return call_pointwise(library, LANES, (4, 4, 8), outputs, outputs, **changed)

    assert call() == 0
    assert call(missing=4) == ARGUMENT_ERROR
    assert call(levels=(3, 2)) == ARGUMENT_ERROR
    assert call(levels=(-128, 128)) == ARGUMENT_ERROR
    assert call(outputs=16) == ARGUMENT_ERROR


def layer(
    shape: tuple[int, int, int], nonzero: float = 0.5, form: str = "table", *, stride: int = 1, kernel: int = 3,
    levels: tuple[int, int] = (0, 15), zero_point: int = 0, multiplier: int = 1, weight: int = 1,
) -> Work[Any]:  # fmt: skip
    """A depthwise convolution with "same" padding, whose 2-bit weights are -weight, 0 and 1."""
    rng, outputs = np.random.default_rng(1), shape[2] * multiplier
    shape_of_weights = (kernel, kernel, shape[2], multiplier)
    signs = rng.choice(np.array([-weight, 1], np.int8), shape_of_weights)
    weights = np.where(rng.random(shape_of_weights) < nonzero, signs, 0).astype(np.int8)
    size, steps = (kernel, kernel), (stride, stride)
    before, after = Window.same_padding(shape[:2], size, steps)
    window = Window(size, steps, (1, 1), before, after)
    height, width = window.output_size(*shape[:2])
    x = TensorType(shape, "int8", *levels, 1.0, zero_point)
    y = TensorType(
        (height, width, outputs),
        "int16" if form == "keep" else "int8",
        *((-999, 999) if form == "keep" else (0, 15)),
        1.0,
    )
    forms: dict[str, Any] = {
        "table": TableRequantize(
            np.tile(np.clip(np.arange(1001) // 9 - 50, 0, 15).astype(np.int8), (outputs, 1)), -500, channels=outputs
        ),
        "keep": KeepAccumulator(outputs, -999, 999),
        "multiplier": MultiplierRequantize(
            np.full(outputs, 1 << 28, np.int32), np.arange(outputs, dtype=np.int32), 8, 8, 0, 15
        ),
    }
    op = DepthwiseConvolve("d", ("x",), "y", (), weights, 2, forms[form], window)
    return Work(op, (x,), y)


def functions(work: Work[Any]) -> list[str]:
    return [one.kernel.function for one in candidates(work)]


def test_lanes_hold_sums_of_a_byte_at_most() -> None:
    """9 weights of levels up to 15 fit, and 17 in a larger window; one more does not."""
    assert functions(layer((8, 8, 8), 1.0)) == [PLAIN, LANES]
    assert functions(layer((8, 8, 8), 1.0, levels=(0, 16))) == [PLAIN]
    work = layer((8, 8, 8), 0.0, kernel=5)
    work.op.weights[:3, :, 0] = 1
    work.op.weights[3, :2, 0] = -1
    assert functions(work) == [PLAIN, LANES]
    work.op.weights[4, 0, 0] = 1
    assert functions(work) == [PLAIN]


@pytest.mark.parametrize("changed", [{"multiplier": 2}, {"weight": 2}, {"levels": (1, 15)}])
def test_what_lanes_cannot_hold_runs_on_the_other_kernel(changed: dict[str, Any]) -> None:
    assert functions(layer((8, 8, 8), **changed)) == [PLAIN]


@pytest.fixture(scope="module")
def program(kernel_program: Callable[[Compiler], Path]) -> BareMetalProgram:
    pytest.importorskip("unicorn")
    if SANITIZE:
        pytest.skip("the sanitized run is for the host's library")
    try:
        compiler = find_compiler()
    except StqError as error:
        pytest.skip(str(error))
    return BareMetalProgram(kernel_program(compiler))


WORKS = {
    "few nonzeros, a table": layer((32, 32, 16), 0.3),
    "a table": layer((16, 16, 32)),
    "sums as they are": layer((8, 8, 64), 0.7, "keep"),
    "levels that are made once": layer((16, 16, 16), 0.5, "multiplier"),
    "levels one by one": layer((6, 6, 24), 0.5, "multiplier"),
    "stride": layer((16, 16, 16), stride=2),
    "parts of a quad": layer((9, 7, 6)),
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_estimates_are_near_the_exact_counts(program: BareMetalProgram, work: Work[Any]) -> None:
    """Each within a third; and the chosen kernel is within a tenth of the fastest."""
    (x,), rng = work.inputs, np.random.default_rng(2)
    levels = rng.integers(x.minimum, x.maximum + 1, x.shape)
    expected = work.op.run([levels[None].astype(np.int64)], work.inputs, work.output)[0]
    cycles = {}
    for candidate in candidates(work):
        function = candidate.kernel.function
        output, counted, cycles[function] = run_convolution(program, candidate, levels)
        np.testing.assert_array_equal(output, expected)
        assert candidate.spec.instructions(work) == pytest.approx(counted, rel=1 / 3), function
        assert candidate.cycles == pytest.approx(cycles[function], rel=0.4), function
    assert list(cycles) == [PLAIN, LANES]
    assert cycles[choose(work, optimize="speed").kernel.function] <= 1.1 * min(cycles.values()), cycles


def test_a_channel_of_zeros_changes_nothing(library: KernelLibrary) -> None:
    """Taps that no channel of a quad needs are left out; a whole quad of zeros has none."""
    for nonzero in (0.0, 0.05, 1.0):
        run_depthwise8(library, replace(EVERY_CASE[0], nonzero=nonzero))
