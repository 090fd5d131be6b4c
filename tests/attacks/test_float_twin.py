"""A model with floating-point weights: scored and attacked as it is, on pixels, and never as a network."""

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from tests.helpers.command_line import invoke, json_of

pytestmark = pytest.mark.keras

SHAPE = (10, 10, 1)
COUNT = 24


@pytest.fixture(name="work", scope="module")
def _work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of Keras's own weighted layers, in both forms, and samples: of two thirds it says the label."""
    # ART sets up logging anew when imported, which closes absl's stream unless that is sys.stderr at the time. So
    # not first inside a CliRunner, which replaces sys.stderr.
    import art.estimators.classification  # noqa: F401
    import tf_keras
    from tf_keras import layers

    work = tmp_path_factory.mktemp("twin")
    tf_keras.utils.set_random_seed(2)
    inputs = tf_keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, name="dw")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.SeparableConv2D(5, 3, activation="relu", name="sep")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(3, name="fc")(x)
    model = tf_keras.Model(inputs, layers.Activation("softmax", name="softmax")(x), name="twin")
    model.save(work / "m.h5")
    model.save(work / "m.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
    labels = np.argmax(model.predict(pixels / np.float32(255), verbose=0), axis=1).astype(np.int64)
    labels[::3] = (labels[::3] + 1) % 3
    save_samples(SampleSet(pixels, labels), work / "in.npz")
    return work


@pytest.mark.parametrize("file", ["m.h5", "m.keras"])
def test_evaluate_scores_what_keras_says(work: Path, file: str) -> None:
    found = json_of(
        invoke("evaluate", "--model", work / file, "--samples", work / "in.npz", "--executor", "float", "--json")
    )
    assert (found["correct"], found["samples"]) == (COUNT * 2 // 3, COUNT)
    assert (found["model"], found["model_hash"]) == ("twin", None)


def test_attack_and_score_what_it_made(work: Path) -> None:
    found = json_of(
        invoke(
            "attack", "--model", work / "m.h5", "--attack", "none", "--attack", "pgd", "--set", "pgd.max_iter=5",
            "--eps", "16/255", "--samples", work / "in.npz", "-o", work / "made", "--json",
        )
    )  # fmt: skip
    assert found["model_hash"] is None
    clean, attacked = (load_samples(entry["file"]) for entry in found["files"])
    assert np.abs(attacked.x.astype(int) - clean.x.astype(int)).max() == 16
    for entry, samples in zip(found["files"], (clean, attacked), strict=True):
        recorded = samples.metadata.float_model
        assert recorded.model_hash is None
        assert "after_input_quantisation" not in entry["correct"]  # there is no network whose levels these could be
        scored = json_of(
            invoke("evaluate", "--model", work / "m.h5", "--samples", entry["file"], "--executor", "float", "--json")
        )
        assert scored["correct"] == entry["correct"]["attacked"] == int((samples.y == recorded.predictions).sum())
    assert found["files"][0]["correct"]["clean"] == COUNT * 2 // 3 > found["files"][1]["correct"]["attacked"]


@pytest.mark.parametrize("executor", ["numpy", "host"])
def test_as_a_network_it_is_refused(work: Path, executor: str) -> None:
    refused = invoke("evaluate", "--model", work / "m.h5", "--samples", work / "in.npz", "--executor", executor)
    assert refused.exit_code == 1
    assert "layer 'conv' (Conv2D): floating-point weights" in refused.stderr
    assert "use QConv2D with kernel_quantizer" in refused.stderr


def test_samples_of_another_shape_are_refused(work: Path) -> None:
    save_samples(SampleSet(np.zeros((1, 3, 3, 7), np.uint8), np.zeros(1, np.int64)), work / "shape.npz")
    for arguments in (["evaluate", "--executor", "float"], ["attack", "--attack", "fgsm", "-o", work / "x.npz"]):
        refused = invoke(*arguments, "--model", work / "m.h5", "--samples", work / "shape.npz")
        assert refused.exit_code == 1
        assert "samples have shape (3, 3, 7)" in refused.stderr


def test_pixels_reach_the_model_exactly() -> None:
    from stq_deploy.evaluation.float_model_file import pixel_input
    from stq_deploy.network.input_format import InputFormat, quantize_input, unit_interval

    format = InputFormat(pixel_input((256,)))
    pixels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(format.samples(quantize_input(pixels, format)), unit_interval(pixels))
    between, few = np.float32([[0.0, 0.4 / 255, 0.6 / 255, 1.0]]), InputFormat(pixel_input((4,)))
    np.testing.assert_array_equal(few.samples(quantize_input(between, few)), np.float32([[0, 0, 1 / 255, 1]]))


def test_what_keras_would_execute_is_refused(work: Path, tmp_path: Path) -> None:
    import h5py

    from stq_deploy.common.errors import StqError
    from stq_deploy.evaluation.float_model import FloatModel

    evil = tmp_path / "evil.h5"
    evil.write_bytes((work / "m.h5").read_bytes())
    with h5py.File(evil, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"Activation"', '"Lambda"')
    with pytest.raises(StqError, match="this layer type is not supported"):
        FloatModel(evil)
