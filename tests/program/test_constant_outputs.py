"""Constant outputs of dense layers: found exactly where no input changes them, and left out without a trace."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Dense
from stq_deploy.network.requantize import (
    KeepAccumulator,
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)
from stq_deploy.program import plan_network
from stq_deploy.program.kernels.constant_outputs import constant_outputs, live_outputs
from stq_deploy.program.kernels.work import Work

LEVELS = TensorType((2,), "int8", 1, 4, 1.0, zero_point=2)
"""Values -1 to 2 (and 0 for what a bound must include)."""
WEIGHTS = np.array([[0, 1, -1, 3, 0], [0, 0, 1, -3, 2]], np.int8)
COUNT = WEIGHTS.shape[1]
"""Sums reach 0; -1..2; -3..3; -9..9; -2..4."""


def steps(*thresholds: int, sign: int = 1) -> ThresholdRequantize:
    return ThresholdRequantize(np.tile(np.int32(thresholds), (COUNT, 1)), np.full(COUNT, sign, np.int8), 0)


def int32(value: int) -> npt.NDArray[np.int32]:
    return np.full(COUNT, value, np.int32)


def int64(value: int) -> npt.NDArray[np.int64]:
    return np.full(COUNT, value, np.int64)


def int8(value: int) -> npt.NDArray[np.int8]:
    return np.full(COUNT, value, np.int8)


BUMP = np.zeros((1, 32), np.int8)
BUMP[0, 16] = 1
FORMS: dict[str, tuple[Requantize, list[int]]] = {
    "a step above every sum but one": (steps(4), [0, 1, 2]),
    "a step at the highest sum": (steps(3), [0, 1]),
    "a step at the lowest sum": (steps(-1), [0, 1]),
    "a step that falls": (steps(3, sign=-1), [0, 1, 4]),
    "no step": (ThresholdRequantize(np.zeros((COUNT, 0), np.int32), int8(1), 0), [0, 1, 2, 3, 4]),
    "sums as they are": (KeepAccumulator(COUNT, -128, 127), [0]),
    "a shift": (ShiftRequantize(int32(0), int8(3), 0, 0, 15), [0, 1, 2, 4]),
    "a multiplier": (MultiplierRequantize(int32(1 << 29), int32(0), 0, 0, 0, 15), [0, 1, 2, 4]),
    "64 bits": (WideRequantize(int32(1), int64(0), int8(2), 0, 15), [0, 1, 2]),
    "63 bits": (LongRequantize(int32(1), int32(0), int64(0), int8(3), int32(0), int32(15)), [0, 1, 2, 4]),
    "a table with a bump between equal ends": (TableRequantize(BUMP, -16, COUNT), [0]),
    "a table that is flat": (TableRequantize(np.full((1, 32), 5, np.int8), -16, COUNT), [0, 1, 2, 3, 4]),
}  # fmt: skip
"""A requantization of the five sums -> the outputs that it makes constants."""


@pytest.mark.parametrize(("form", "expected"), FORMS.values(), ids=FORMS)
def test_outputs_that_no_input_changes(form: Requantize, expected: list[int]) -> None:
    op = Dense("d", ("x",), "y", (), WEIGHTS, 8, form)
    found = constant_outputs(op, LEVELS)
    assert np.flatnonzero(found).tolist() == expected
    every = np.array(list(product(range(LEVELS.minimum, LEVELS.maximum + 1), repeat=2)), np.int64)
    y = op.run([every], [LEVELS], TensorType((COUNT,), "int8", 0, 127, 1.0))
    assert (y[:, found] == y[:1, found]).all()


def layer(constant: list[bool], inputs: int = 700, bits: int = 2, dtype: str = "int8") -> Network:
    """A dense layer whose outputs are constants where stated, and 1-bit, 2-bit ... weights of every value."""
    rng = np.random.default_rng(len(constant))
    count = len(constant)
    low, high = (-1, 1) if bits <= 2 else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    weights = rng.integers(low, high + 1, (inputs, count))
    weights = np.where(weights == 0, 1, weights) if bits == 1 else weights
    thresholds = np.sort(rng.integers(-50, 50, (count, 3)), axis=1)
    thresholds[constant] = [[-(2**31), 2**31 - 1, 2**31 - 1]] * sum(constant)
    form = ThresholdRequantize(thresholds.astype(np.int32), np.ones(count, np.int8), -3)
    x, y = TensorType((inputs,), "int8", 0, 3, 1.0), TensorType((count,), dtype, -3, 0, 1.0)
    op = Dense("d", ("x",), "y", (), weights.astype(np.int16 if bits == 16 else np.int8), bits, form)
    return Network({"x": x, "y": y}, (op,), "x", ("y",))


def work(network: Network) -> Work[Dense]:
    op = network.ops[0]
    assert isinstance(op, Dense)
    return Work(op, (network.tensors["x"],), network.tensors["y"])


SHAPES = {
    "first and last": [True, False, False, True, True],
    "all but the last": [True, True, True, False],
    "all but the first": [False, True, True],
    "all": [True, True, True],
}


@pytest.mark.parametrize("constant", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("bits", "dtype"), [(1, "int8"), (2, "int16"), (16, "int8")])
def test_the_layer_gives_the_same_bytes(constant: list[bool], bits: int, dtype: str, tmp_path: Path) -> None:
    network = layer(constant, bits=bits, dtype=dtype)
    program = plan_network(network)
    live = max(1, constant.count(False))
    assert program.layers[0].weights is not None
    assert program.layers[0].weights.rows == live
    levels = np.random.default_rng(0).integers(0, 4, (20, *network.input_type.shape)).astype(np.int8)
    for kernels in ("reference", "cortex_m7"):
        with HostExecutor(program, kernels=kernels, cache_dir=tmp_path) as host:
            np.testing.assert_array_equal(host.run(levels)[0], NumpyExecutor(program).run(levels)[0])


def test_a_layer_too_small_to_gain_keeps_its_rows() -> None:
    network = layer([True, False], inputs=60)
    assert live_outputs(work(network)).folded == 0
    assert plan_network(network).layers[0].weight_bytes == 2 * 16


def test_bytes_that_are_left_out() -> None:
    network = layer([True, False, True, True])
    whole, program = 4 * 176, plan_network(network)
    assert program.weight_bytes == whole // 4
    # Three thresholds and a sign of one output, its place, and four levels.
    assert program.table_bytes == 13 + 4 + 4
