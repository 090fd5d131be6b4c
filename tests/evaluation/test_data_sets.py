"""Data sets other than CIFAR-10 through the commands: trained on in little, scored in TensorFlow, NumPy and C."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.datasets.fashion_mnist import FILES
from stq_deploy.datasets.samples import SampleSet, load_samples, samples_of_dataset
from tests.helpers.command_line import invoke, json_of
from tests.helpers.datasets.idx_files import idx
from tests.helpers.datasets.tiny_speech import files, folder

pytestmark = pytest.mark.keras


@pytest.fixture(autouse=True)
def _no_other_data(host_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STQ_DEPLOY_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(host_cache.parent))  # it holds compiled kernels, and no data


def _scores(model: Path, *samples: object, executors: tuple[str, ...] = ("float", "numpy", "host")) -> list[float]:
    """Top-1 of the model in TensorFlow, NumPy and C."""
    return [
        json_of(invoke("evaluate", "--model", model, *samples, "--executor", executor, "--json"))["top1"]
        for executor in executors
    ]


def _trained(layers: list[Any], x: np.ndarray, y: np.ndarray, path: Path) -> Path:
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    model = tf_keras.Sequential([tf_keras.layers.Input(x.shape[1:]), *layers, tf_keras.layers.Activation("softmax")])
    model.compile(tf_keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=16, epochs=12, verbose=0)
    model.save(path)
    return path


def _layers(input_quantizer: str, classes: int, pool: tuple[int, int]) -> list[Any]:
    import qkeras
    import tf_keras

    return [
        qkeras.QActivation(input_quantizer),
        tf_keras.layers.MaxPooling2D(pool),
        tf_keras.layers.Flatten(),
        qkeras.QDense(classes, kernel_quantizer=qkeras.ternary(alpha="auto_po2"), use_bias=False),
        tf_keras.layers.BatchNormalization(momentum=0.5),
    ]


def test_fashion_mnist(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    y = np.arange(80) % 10
    x = random.integers(0, 100, (80, 28, 28))
    x[np.arange(80), y * 2 + 3] += 150  # each class has a bright row of its own
    for file, content in zip(FILES, (x, y, x[:40], y[:40]), strict=True):
        (tmp_path / file.name).write_bytes(gzip.compress(idx(content), 1))
    model = _trained(_layers("quantized_relu(8,0)", 10, (1, 4)), x[..., np.newaxis] / 255, y, tmp_path / "model.h5")
    float_score, *integer_scores = _scores(model, "--dataset", "fashion-mnist", "--data", tmp_path)
    assert float_score > 0.8
    assert integer_scores == [float_score] * 2


def test_speech_commands_and_sample_files_of_features(tmp_path: Path) -> None:
    # Imported here because ART closes the stream it finds for logging, which within a command is the test's.
    import art.estimators.classification  # noqa: F401

    data = folder(tmp_path / "data", files())
    samples = samples_of_dataset("speech-commands", data)
    assert samples.holds_features and samples.class_names[0] == "yes"
    model = _trained(_layers("quantized_bits(8,7,1,alpha=1)", 12, (7, 1)), samples.x, samples.y, tmp_path / "model.h5")
    float_score, *integer_scores = _scores(model, "--dataset", "speech-commands", "--data", data)
    assert float_score > 0.8
    assert integer_scores == [float_score] * 2

    invoked = invoke(
        "attack", "--model", model, "--attack", "none", "--dataset", "speech-commands", "--data", data,
        "-o", tmp_path / "samples.npz",
    )  # fmt: skip
    assert invoked.exit_code == 0, invoked.output
    loaded = load_samples(tmp_path / "samples.npz")
    assert loaded.metadata.range == samples.metadata.range
    assert loaded.sha256() == samples.sha256()
    assert loaded.correct["clean"] == round(float_score * len(samples))
    assert _scores(model, "--samples", tmp_path / "samples.npz") == [float_score] * 3
    attacked = invoke(
        "attack", "--model", model, "--attack", "fgsm", "--eps", "1/2", "--unit", "std", "--samples",
        tmp_path / "samples.npz", "-o", tmp_path / "a.npz",
    )  # fmt: skip
    assert attacked.exit_code == 0, attacked.output
    moved = load_samples(tmp_path / "a.npz")
    change = np.abs(moved.x.astype(np.float64) - np.rint(loaded.x))  # the input's levels are whole numbers
    assert change.max() > 0 and (change <= np.rint(loaded.x).std(axis=0) / 2 + 1e-6).all()


def test_ds_cnn_by_the_train_command(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", files())
    result = invoke(
        "train", "--out", tmp_path / "run", "--network", "ds_cnn", "--scheme", "ternary", "--epochs", 1,
        "--dataset", "speech-commands-official", "--data", data, "--batch-size", 12,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (record["train_samples"], record["test_samples"], record["classes"][:2]) == (34, 12, ["yes", "no"])
    assert (tmp_path / "run" / "history.jsonl").read_text().count('"validation_accuracy": 0.') == 1
    (score,) = _scores(
        tmp_path / "run" / "model.h5", "--dataset", "speech-commands-official", "--data", data, executors=("host",)
    )
    assert score == pytest.approx(record["test_accuracy"], abs=1.01 / 12)  # a tie may turn one sample


def test_a_single_features_sample_is_in_the_whole_sets_range(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", files())
    one, everything = samples_of_dataset("speech-commands", data, 1), samples_of_dataset("speech-commands", data)
    assert isinstance(one, SampleSet) and one.metadata.range == everything.metadata.range
