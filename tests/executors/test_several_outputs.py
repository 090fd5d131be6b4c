"""Every output of a network, whoever runs it: layers' outputs, views, joined views and the input itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.executors.executor import Executor
from stq_deploy.executors.host_executor import CHUNK, HostExecutor
from stq_deploy.executors.numpy_executor import BATCH, NumpyExecutor
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Concatenate, Dense, Rescale, Reshape, Table
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.program import plan_network

IMAGE = TensorType((2, 2, 2), "int8", -100, 100, 1.0)
PLUS_ONE = np.clip(np.arange(-128, 128) + 1, -100, 100).astype(np.int8)
NEGATED = np.clip(-np.arange(-128, 128), -100, 100).astype(np.int8)
WEIGHTS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 1], [1, -1], [0, 0], [-1, 1]], np.int8)


def network() -> Network:
    """Logits, two tables joined without a copy, a reshape of the first, the input, a reshape of it, and 16 bits."""
    tensors = {
        "x": IMAGE,
        "a": IMAGE,
        "b": IMAGE,
        "joined": TensorType((4, 2, 2), "int8", -100, 100, 1.0),
        "flat": TensorType((8,), "int8", -100, 100, 1.0),
        "flat a": TensorType((8,), "int8", -100, 100, 1.0),
        "wide": TensorType((2, 2, 2), "int16", -100, 100, 1.0),
        "logits": TensorType((2,), "int32", -800, 800, 1.0),
    }
    ops = (
        Table("a", ("x",), "a", (), PLUS_ONE),
        Table("b", ("x",), "b", (), NEGATED),
        Concatenate("joined", ("a", "b"), "joined", (), axis=0, factors=(1, 1)),
        Reshape("flat", ("x",), "flat", ()),
        Reshape("flat a", ("a",), "flat a", ()),
        Rescale("wide", ("x",), "wide", (), KeepAccumulator(2, -100, 100)),
        Dense("logits", ("flat",), "logits", (), WEIGHTS, 2, KeepAccumulator(2, -800, 800)),
    )
    return Network(tensors, ops, "x", ("logits", "joined", "flat a", "x", "flat", "wide"))


def expected(levels: np.ndarray) -> dict[str, np.ndarray]:
    """From the definitions of the ops, with nothing of the executors."""
    a, b = np.clip(levels + 1, -100, 100), np.clip(-levels, -100, 100)
    flat = levels.reshape(len(levels), 8)
    return {
        "logits": flat @ WEIGHTS.astype(np.int64),
        "joined": np.concatenate([a, b], axis=1),
        "flat a": a.reshape(len(a), 8),
        "x": levels,
        "flat": flat,
        "wide": levels,
    }


def assert_right(executor: Executor, levels: np.ndarray) -> None:
    program = executor.program
    found = executor.run(levels)
    assert len(found) == len(program.network.outputs) == 6
    for name, output in zip(program.network.outputs, found, strict=True):
        spec = program.network.tensors[name]
        assert (output.dtype, output.shape) == (np.dtype(spec.dtype), (len(levels), *spec.shape))
        np.testing.assert_array_equal(output, expected(levels)[name], err_msg=name)


@pytest.mark.parametrize("samples", [0, 1, 2 * max(CHUNK, BATCH) + 3])
def test_every_output_is_there(samples: int, host_cache: Path) -> None:
    levels = np.random.default_rng(1).integers(-100, 101, (samples, 2, 2, 2))
    program = plan_network(network())
    assert program.is_view("joined") and program.is_view("flat a")
    assert [place.layer for place in program.outputs][3:5] == [-1, -1]
    with NumpyExecutor(program) as numpy:
        assert_right(numpy, levels)
    with HostExecutor(program, workers=2, cache_dir=host_cache) as host:
        assert_right(host, levels)
    with SanitizedExecutor(program, kernels="cortex_m7", cache_dir=host_cache) as sanitized:
        assert_right(sanitized, levels[:3])
