"""The estimates that choose between convolution kernels, beside exact counts; and every kernel's output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Convolve, Window
from stq_deploy.network.requantize import MultiplierRequantize, ThresholdRequantize
from stq_deploy.program.kernels.choice import candidates, choose
from stq_deploy.program.kernels.gather import GatherKernels
from stq_deploy.program.kernels.work import Work
from stq_deploy.toolchain.compilers import Compiler, find_compiler
from tests.helpers.kernels.bare_metal import BareMetalProgram
from tests.helpers.kernels.kernel_settings import SANITIZE
from tests.helpers.kernels.work_bench import run_convolution

pytest.importorskip("unicorn")
pytestmark = pytest.mark.skipif(SANITIZE, reason="the sanitized run is for the host's library")


@dataclass(frozen=True)
class Layer:
    """A convolution with "same" padding; `nonzero` is the share of 2-bit weights that are not 0."""

    shape: tuple[int, int, int]
    outputs: int
    kernel: int = 3
    nonzero: float = 0.4
    bits: int = 2
    levels: tuple[int, int] = (0, 15)
    dtype: str = "int8"
    stride: int = 1
    even_steps: bool = True

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in vars(self).items())

    def work(self) -> Work[Any]:
        rng = np.random.default_rng(1)
        shape = (self.kernel, self.kernel, self.shape[2], self.outputs)
        signs = rng.choice(np.array([-1, 1], np.int8), shape)
        weights = signs if self.bits == 1 else np.where(rng.random(shape) < self.nonzero, signs, 0).astype(np.int8)
        if self.bits > 2:
            weights *= rng.integers(1, 8, shape, np.int8)
        size = (self.kernel, self.kernel)
        before, after = Window.same_padding(self.shape[:2], size, (self.stride, self.stride))
        window = Window(size, (self.stride, self.stride), (1, 1), before, after)
        height, width = window.output_size(*self.shape[:2])
        x = TensorType(self.shape, self.dtype, *self.levels, 1.0, 0)
        y = TensorType((height, width, self.outputs), "int8", 0, 15, 1.0)
        form: Any = MultiplierRequantize(
            np.full(self.outputs, 1 << 28, np.int32), np.arange(self.outputs, dtype=np.int32), 8, 8, 0, 15
        )
        if not self.even_steps:
            steps = np.array([0, 1, 50, *range(60, 72)], np.int32)
            form = ThresholdRequantize(np.tile(steps, (self.outputs, 1)), np.ones(self.outputs, np.int8), 0)
        return Work(Convolve("c", ("x",), "y", (), weights, self.bits, form, window), (x,), y)


LAYERS = [
    Layer((16, 16, 32), 16, kernel=5, nonzero=0.3),
    Layer((8, 8, 64), 16, nonzero=0.5),
    Layer((8, 8, 128), 32, kernel=1, levels=(-100, 100), dtype="int16"),
    Layer((16, 16, 32), 16, kernel=1),
    Layer((25, 5, 32), 16, kernel=1, nonzero=0.6),
    Layer((12, 10, 24), 8, nonzero=0.2, levels=(0, 3)),
    Layer((16, 16, 16), 16, stride=2),
    Layer((9, 9, 5), 4),
    Layer((16, 16, 16), 16, bits=1),
    Layer((8, 8, 32), 16, levels=(-128, 127)),
    Layer((32, 32, 1), 16, kernel=5, nonzero=0.7, bits=4, levels=(-128, 127)),
    Layer((16, 16, 16), 16, nonzero=0.5, bits=4),
    Layer((8, 8, 32), 16, even_steps=False),
]


@pytest.fixture(scope="module")
def program(kernel_program: Callable[[Compiler], Path]) -> BareMetalProgram:
    try:
        compiler = find_compiler()
    except StqError as error:
        pytest.skip(str(error))
    return BareMetalProgram(kernel_program(compiler))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_estimates_are_near_the_exact_counts(program: BareMetalProgram, layer: Layer) -> None:
    """Each within a third; and the chosen kernel is within a tenth of the fastest."""
    work = layer.work()
    (x,), rng = work.inputs, np.random.default_rng(2)
    levels = rng.integers(x.minimum, x.maximum + 1, x.shape)
    expected = work.op.run([levels[None].astype(np.int64)], work.inputs, work.output)[0]
    counted, cycles = {}, {}
    for candidate in candidates(work):
        function = candidate.kernel.function
        output, counted[function], cycles[function] = run_convolution(program, candidate, levels)
        np.testing.assert_array_equal(output, expected)
        estimate = candidate.spec.instructions(work)
        assert estimate == pytest.approx(counted[function], rel=1 / 3), function
        assert candidate.cycles == pytest.approx(cycles[function], rel=0.4), function
    assert len(counted) >= 2
    assert cycles[choose(work, optimize="speed").kernel.function] <= 1.1 * min(cycles.values()), cycles


def functions(work: Work[Any]) -> list[str]:
    return [one.kernel.function for one in candidates(work)]


def test_lanes_of_bytes_need_few_levels() -> None:
    assert functions(Layer((8, 8, 8), 4, levels=(0, 31)).work()) == [
        "stq_convolve_t2_s8", "stq_gather8_t2_s8", "stq_gather16_t2_s8",
        "stq_gather8_trits_s8", "stq_gather16_trits_s8", "stq_gather8_gaps_s8", "stq_gather16_gaps_s8",
    ]  # fmt: skip
    assert functions(Layer((8, 8, 8), 4, levels=(0, 32)).work()) == [
        "stq_convolve_t2_s8", "stq_gather16_t2_s8", "stq_gather16_trits_s8", "stq_gather16_gaps_s8",
    ]  # fmt: skip
    binary = functions(Layer((8, 8, 8), 4, bits=1).work())
    assert binary == ["stq_convolve_b1_s8", "stq_gather8_b1_s8", "stq_gather16_b1_s8"]


def test_weights_of_minus_2_are_not_coded() -> None:
    work = Layer((8, 8, 8), 4, levels=(0, 3)).work()
    work.op.weights[0, 0, 0, 0] = -2
    assert functions(work) == ["stq_convolve_t2_s8", "stq_gather8_t2_s8", "stq_gather16_t2_s8"]


@pytest.mark.parametrize(("channels", "allowed"), [(2184, True), (2185, False)])
def test_sums_that_may_leave_16_bits_are_not_gathered(channels: int, allowed: bool) -> None:
    """2184 * 15 is 32,760; one input more could reach 32,775."""
    work = Layer((2, 2, channels), 1, kernel=1, nonzero=1.0).work()
    work.op.weights[:] = 1
    assert (len(functions(work)) > 1) is allowed


def test_padding_must_be_a_level() -> None:
    work = Layer((8, 8, 8), 4, levels=(1, 15)).work()
    assert functions(work) == ["stq_convolve_t2_s8"]
    assert len(functions(Layer((8, 8, 8), 4, kernel=1, levels=(1, 15)).work())) == 7


def test_a_table_that_takes_too_much_memory_is_not_made() -> None:
    assert len(functions(Layer((32, 32, 32), 4).work())) == 4
    assert functions(Layer((64, 64, 64), 4).work()) == ["stq_convolve_t2_s8"]


@pytest.mark.parametrize(
    ("bits", "dtype", "gathered"),
    [(4, "int8", ["stq_gather16_s4_s8"]), (4, "int16", []), (8, "int8", []), (16, "int8", [])],
)
def test_which_wider_weights_are_gathered(bits: int, dtype: str, gathered: list[str]) -> None:
    work = Layer((8, 8, 8), 4, dtype=dtype).work()
    op = work.op
    wider = Convolve("c", ("x",), "y", (), op.weights, bits, op.requantize, op.window)
    assert functions(Work(wider, work.inputs, work.output))[1:] == gathered


@pytest.mark.parametrize(("channels", "allowed"), [(20, True), (21, False)])
def test_sums_of_4_bit_weights_must_fit_16_bits(channels: int, allowed: bool) -> None:
    """20 * 7 * 233 is 32,620; one input more reaches 34,251."""
    work = Layer((8, 8, channels), 1, kernel=1, nonzero=1.0, bits=4, levels=(0, 233), dtype="int16").work()
    work.op.weights[:] = 7
    x = TensorType(work.inputs[0].shape, "int8", -116, 117, 1.0, -116)
    assert (len(functions(Work(work.op, (x,), work.output))) > 1) is allowed


def test_steps_on_no_line_keep_their_form() -> None:
    work = Layer((8, 8, 8), 4, even_steps=False).work()
    gather = next(one.spec for one in candidates(work) if isinstance(one.spec, GatherKernels))
    assert gather.form(work) is work.op.requantize
    even = Layer((8, 8, 8), 4).work()
    assert gather.form(even).kind == "packed"


@pytest.mark.parametrize(
    ("shape", "balanced"), [((8, 8, 16), "stq_convolve_t2_s8"), ((16, 16, 64), "stq_gather8_t2_s8")]
)
def test_balanced_pays_for_code_where_it_saves_as_much_time(shape: tuple[int, int, int], balanced: str) -> None:
    work = Layer(shape, 8).work()
    assert choose(work, optimize="speed").kernel.function == "stq_gather8_t2_s8"
    assert choose(work, optimize="size").kernel.function == "stq_convolve_t2_s8"
    assert choose(work).kernel.function == choose(work, optimize="balanced").kernel.function == balanced


def test_a_kernel_can_be_demanded() -> None:
    work = Layer((8, 8, 8), 4).work()
    assert choose(work, "stq_gather16_t2_s8").kernel.function == "stq_gather16_t2_s8"
    with pytest.raises(StqError, match="stq_gather16_t2_s16 cannot run the layer") as error:
        choose(work, "stq_gather16_t2_s16")
    assert "stq_gather8_t2_s8" in str(error.value.next)
