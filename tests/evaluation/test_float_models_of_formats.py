"""The float model of ONNX and TensorFlow Lite files: `evaluate --executor float`, and the last column of `verify`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.evaluation.float_engine import open_float_model
from tests.helpers.command_line import invoke, json_of
from tests.helpers.frontend.tflite_cases import cases

ONNX_MODELS = Path(__file__).resolve().parents[1] / "frontend" / "onnx" / "models"


def onnx_case(name: str) -> tuple[Path, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(file, inputs with channels last, outputs of onnxruntime or PyTorch)."""
    pytest.importorskip("onnx")
    data = np.load(ONNX_MODELS / f"{name}.npz")
    x = data["x"]
    return ONNX_MODELS / f"{name}.onnx", np.moveaxis(x, 1, -1) if x.ndim > 2 else x, data["y"]


@pytest.mark.parametrize("name", ["float", "fixed_point", "qcdq"])
def test_an_onnx_file_gives_what_its_own_programs_compute(name: str) -> None:
    path, x, expected = onnx_case(name)
    model = open_float_model(path)
    assert model.engine == "numpy"
    np.testing.assert_allclose(model.outputs(x).reshape(expected.shape), expected, atol=2e-6 * np.abs(expected).max())


def test_the_commands_take_an_onnx_file(tmp_path: Path) -> None:
    path, x, expected = onnx_case("float")
    y = expected.reshape(len(x), -1).argmax(axis=1).astype(np.int64)
    save_samples(SampleSet(x, y, SampleMetadata(range=(float(x.min()), float(x.max())))), tmp_path / "s.npz")
    asked = ("--samples", tmp_path / "s.npz", "--json")
    found = json_of(invoke("evaluate", "--model", path, "--executor", "float", *asked))
    assert (found["float_engine"], found["top1"]) == ("numpy", 1.0)
    after = ("--post-training", "int8", "--calibrate", tmp_path / "s.npz")
    verified = json_of(invoke("verify", "--model", path, "--executors", "numpy,host", *after, *asked))
    assert verified["float_engine"] == "numpy"
    assert verified["differing_layers"] == 0
    assert len(verified["float"]["layers"]) >= 2
    assert min(layer["decibels"] for layer in verified["float"]["layers"] if layer["decibels"] is not None) > 10


def test_the_commands_take_a_tflite_file(tmp_path: Path) -> None:
    content = cases()["conv"][0]
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    verified = json_of(invoke("verify", "--model", path, "--executors", "numpy,host", "--json"))
    floats = verified["float"]
    assert verified["float_engine"] == "numpy"
    assert floats["activations"] > 0
    assert floats["unexplained"] == 0


def test_keras_by_name_does_not_run_them(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(cases()["conv"][0])
    save_samples(SampleSet(_levels(path), np.zeros(2, np.int64), SampleMetadata(range=(-1, 1))), tmp_path / "s.npz")
    asked = ("evaluate", "--model", path, "--samples", tmp_path / "s.npz", "--executor", "float")
    refused = invoke(*asked, "--float-engine", "keras")
    assert refused.exit_code == 1
    assert "--float-engine numpy" in refused.stderr


def _levels(path: Path) -> npt.NDArray[np.float32]:
    shape = open_float_model(path).input_shape
    return np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)
