"""Models of PyTorch, Brevitas and onnxruntime against what other programs have computed with them on raw inputs.

`tools/make_onnx_models.py` has made the files. The other programs compute in float32, and the network's arithmetic is
exact. So they may differ by float32's rounding, and by a level where a value lies half-way between two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.frontend import list_layers, read_source
from stq_deploy.frontend.source import QuantizeNode, SourceGraph
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.lowering.step_function import step_function
from stq_deploy.network.reference import run
from stq_deploy.pipeline import convert_model
from tests.helpers.command_line import invoke, json_of

pytest.importorskip("onnx")

MODELS = Path(__file__).parent / "models"
TO_LAST = {2: (0, 1), 3: (0, 2, 1), 4: (0, 2, 3, 1)}
FLOAT32 = 2e-7  # relative to values of up to 1
EXACT = ("fixed_point", "qcdq")
"""Scales that are powers of two to the end: other programs compute exactly as well."""
WITH_TIES = {"rows": 2, "qdq": 33}
"""Samples, of 48, whose output differs from onnxruntime's or qonnx's, as float32 decides a tie the other way."""


def case(name: str) -> tuple[Path, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(file, inputs with channels last, the other program's outputs)."""
    data = np.load(MODELS / f"{name}.npz")
    return MODELS / f"{name}.onnx", data["x"].transpose(TO_LAST[data["x"].ndim]), data["y"]


def differing(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Samples whose outputs differ by more than float32's rounding."""
    found: npt.NDArray[np.bool_] = (np.abs(ours.reshape(theirs.shape) - theirs) > FLOAT32).any(axis=-1)
    return found


def nearest_tie(graph: SourceGraph, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(N,) How near a sample's values come to a tie of a quantizer, in levels."""
    values: dict[int, Any] = {}
    nearest = np.full(len(x), np.inf)
    for n, found in run_graph(graph, x.astype(np.float64)):
        values[n] = found.copy()
        node = graph.nodes[n]
        if isinstance(node, QuantizeNode):
            steps = step_function(node.quantizer)
            levels = values[node.inputs[0]] / float(steps.spacing)
            away = np.abs(levels - np.floor(levels) - 0.5)
            away[(levels < steps.minimum - 1) | (levels > steps.maximum + 1)] = np.inf
            nearest = np.minimum(nearest, away.reshape(len(x), -1).min(axis=1))
    return nearest


@pytest.mark.parametrize("name", ["fixed_point", "ternary", "binary", "branches", "rows", "qcdq", "qdq"])
def test_a_quantized_model_gives_what_its_own_programs_compute(name: str) -> None:
    path, x, expected = case(name)
    network = convert_model(path)
    levels = run(network, network.input_format.levels(x))
    found = network.output_format.values(levels, network.output_type)
    if name in EXACT:
        assert np.array_equal(found.reshape(expected.shape), expected)
        return
    wrong = differing(found, expected)
    assert wrong.sum() == WITH_TIES.get(name, 0)
    if wrong.any():
        assert (nearest_tie(read_source(path), x)[wrong] < 1e-6).all()


def test_a_floating_point_model_is_quantized_after_training(tmp_path: Path) -> None:
    path, x, expected = case("float")
    refused = invoke("convert", path, "-o", tmp_path / "net.stq")
    assert refused.exit_code == 1
    assert "floating-point" in refused.stderr and "--post-training int8" in refused.stderr
    np.savez(tmp_path / "samples.npz", x=x, y=expected.argmax(axis=1))
    options = ("--post-training", "int8", "--calibrate", tmp_path / "samples.npz")
    result = invoke("convert", path, *options, "-o", tmp_path / "net.stq")
    assert result.exit_code == 0, result.output
    report = json_of(
        invoke("evaluate", "--model", tmp_path / "net.stq", "--samples", tmp_path / "samples.npz", "--json")
    )
    assert "top1" in str(report)


def test_inspect_names_the_format_and_the_layout() -> None:
    result = invoke("inspect", MODELS / "branches.onnx")
    assert result.exit_code == 0, result.output
    first = result.output.splitlines()
    assert any("QONNX" in line and "pytorch" in line for line in first[:4])
    rows = list_layers(MODELS / "branches.onnx")[2]
    assert rows[0].inputs == ((3, 6, 6),) and rows[0].shape == (6, 6, 3)
    assert rows[0].quantizers == {"layout": "channels first in the file, last here"}


def test_samples_with_channels_first_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path, x, y = case("branches")
    np.savez(tmp_path / "first.npz", x=x.transpose(0, 3, 1, 2), y=y.argmax(axis=1))
    result = invoke("evaluate", "--model", path, "--samples", tmp_path / "first.npz")
    assert result.exit_code == 1
    assert "numpy.transpose(x, (0, 2, 3, 1))" in result.stderr
