"""Operators of .tflite files against TensorFlow Lite's reference interpreter, byte by byte.

`tools/tflite_cases.py` made the models and asked the interpreter.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.frontend.float_graph_reader import read_float_graph
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.network.input_format import quantize_input
from stq_deploy.network.reference import run
from stq_deploy.pipeline import Pipeline
from tests.helpers.frontend.tflite_cases import cases


@pytest.mark.parametrize("name", sorted(cases()))
def test_levels_equal_the_interpreter(name: str, tmp_path: Path) -> None:
    content, x, expected = cases()[name]
    path = tmp_path / "case.tflite"
    path.write_bytes(content)
    network = Pipeline().convert(path)
    shape = network.tensors[network.input].shape
    if x.dtype == np.float32:
        levels = quantize_input(x.reshape(len(x), *shape), network.input_format)
    else:
        levels = x.astype(np.int64) - (128 if x.dtype == np.uint8 else 0)
    found = run(network, levels.reshape(len(x), *shape))
    output = network.tensors[network.outputs[0]]
    if expected.dtype == np.float32:
        found = (found.astype(np.float32) - output.zero_point) * np.float32(output.scale)
    np.testing.assert_array_equal(found.reshape(len(x), -1), expected.reshape(len(x), -1))


@pytest.mark.parametrize(
    "name", ["conv", "depthwise_multiplier", "dense_channels", "add", "multiply", "sigmoid", "mean"]
)
def test_the_float_graph_gives_the_same_levels_nearly(name: str, tmp_path: Path) -> None:
    """In floating point an accumulator may be off by its last bit, and a level by one."""
    content, x, expected = cases()[name]
    path = tmp_path / "case.tflite"
    path.write_bytes(content)
    network = Pipeline().convert(path)
    input_, output = network.tensors[network.input], network.tensors[network.outputs[0]]
    values = (x.reshape(len(x), *input_.shape).astype(np.float32) - input_.zero_point) * np.float32(input_.scale)
    graph = read_float_graph(path)
    found = dict(run_graph(graph, values))[graph.outputs[0]].reshape(len(x), -1)
    levels = found / output.scale + output.zero_point
    assert np.abs(levels - expected.reshape(len(x), -1)).max() <= 1.01
