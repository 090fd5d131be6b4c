"""The float model in NumPy: beside Keras's own, and in commands where TensorFlow is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.evaluation import float_engine
from stq_deploy.evaluation.numpy_float_model import NumpyFloatModel
from tests.helpers.command_line import invoke, json_of
from tests.helpers.float_models import float_draft, float_pixels
from tests.helpers.model_files import tiny_model

LAST_PLACES = 2.0**-20
"""Relative error of a sum of a few hundred float32 products in another order."""


@pytest.fixture(name="without_tensorflow")
def _without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorflow", "qkeras", "tf_keras"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(float_engine, "keras_is_installed", lambda: False)


@pytest.mark.keras
@pytest.mark.parametrize("kind", ["quantized", "floating point"])
def test_layers_are_those_of_keras_to_the_last_places(kind: str, tmp_path: Path) -> None:
    from stq_deploy.evaluation.float_model import FloatModel

    draft = tiny_model() if kind == "quantized" else float_draft()
    path = draft.save_h5(tmp_path / "m.h5")
    keras, ours = FloatModel(path), NumpyFloatModel(path)
    shape = ours.input_shape
    x = np.random.default_rng(0).random((70, *shape)).astype(np.float32)
    layers = [layer.name for layer in keras.keras.layers[1:]]
    pairs = list(zip(keras.layer_outputs(x, layers), ours.layer_outputs(x, layers), strict=True))
    assert len(pairs) > 3
    for name, (theirs, mine) in zip(layers, pairs, strict=True):
        assert mine.dtype == np.float32
        allowed = LAST_PLACES * max(1, np.abs(theirs).max())
        np.testing.assert_allclose(mine, theirs.reshape(mine.shape), rtol=0, atol=allowed, err_msg=name)
    assert np.array_equal(keras.classes(x), ours.classes(x))
    np.testing.assert_allclose(ours.outputs(x), keras.outputs(x), rtol=0, atol=LAST_PLACES)
    with pytest.raises(StqError, match="no layer 'odd'"):
        ours.layer_outputs(x, ["odd"])


@pytest.mark.usefixtures("without_tensorflow")
def test_evaluate_and_verify_name_numpy(tmp_path: Path) -> None:
    path = tiny_model().save_h5(tmp_path / "m.h5")
    shape = NumpyFloatModel(path).input_shape
    pixels = np.random.default_rng(1).integers(0, 256, (9, *shape)).astype(np.uint8)
    save_samples(SampleSet(pixels, np.zeros(9, np.int64)), tmp_path / "s.npz")
    asked = ("evaluate", "--model", path, "--samples", tmp_path / "s.npz", "--executor")
    found = json_of(invoke(*asked, "float", "--json"))
    assert found["float_engine"] == "numpy"
    assert found["top1"] == json_of(invoke(*asked, "numpy", "--json"))["top1"]
    assert "float by NumPy: top-1" in invoke(*asked, "float").stdout
    verified = invoke("verify", "--model", path, "--executors", "numpy,host", "--json")
    floats = json_of(verified)
    assert floats["float_engine"] == "numpy"
    assert floats["float"]["unexplained"] == 0
    assert "The float model is computed by NumPy." in verified.stderr


@pytest.mark.usefixtures("without_tensorflow")
def test_keras_by_name_needs_tensorflow(tmp_path: Path) -> None:
    path = float_draft().save_h5(tmp_path / "m.h5")
    save_samples(SampleSet(float_pixels(2), np.zeros(2, np.int64)), tmp_path / "s.npz")
    asked = ("evaluate", "--model", path, "--samples", tmp_path / "s.npz", "--executor", "float")
    refused = invoke(*asked, "--float-engine", "keras")
    assert refused.exit_code == 1
    assert "needs TensorFlow" in refused.stderr
    assert json_of(invoke(*asked, "--json"))["samples"] == 2
