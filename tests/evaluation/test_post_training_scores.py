"""The commands on a model without quantizers, and what quantization does to the shipped one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import CLEAN, SampleSet, load_samples, save_samples
from stq_deploy.evaluation.scores import classes_of
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.frontend import read_source
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.network import load_network
from stq_deploy.network.input_format import model_values, quantize_input
from stq_deploy.pipeline import Conversion, PostTraining, convert_model
from stq_deploy.program import plan_network
from stq_deploy.zoo.shipped import resolve_model, shipped_samples
from tests.helpers.command_line import invoke, json_of
from tests.helpers.float_models import SHAPE, float_draft, float_pixels
from tests.helpers.model_files import ModelDraft, random

INT8 = ("--post-training", "int8", "--calibrate")
RANGE = ("--input-range", "0", "255")


@pytest.fixture(name="work", scope="module")
def _work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float model of pixels in 0..255, samples of it, and features."""
    work = tmp_path_factory.mktemp("floats")
    draft = float_draft()
    draft.arrays["conv1"]["kernel"] /= 255
    draft.save_h5(work / "m.h5")
    save_samples(SampleSet(float_pixels(16), np.zeros(16, np.int64)), work / "pixels.npz")
    x = np.random.default_rng(0).normal(0, 30, (4, *SHAPE)).astype(np.float32)
    save_samples(SampleSet(x, np.zeros(4, np.int64), SampleMetadata(range=(-300, 300))), work / "features.npz")
    return work


def test_convert_writes_a_network_that_knows_its_pixels(work: Path) -> None:
    out = work / "net.stq"
    json_of(invoke("convert", work / "m.h5", *INT8, work / "pixels.npz", *RANGE, "-o", out, "--json"))
    network = load_network(out)
    assert network.input_range == (0.0, 255.0)
    assert network.metadata.post_training.samples == 16
    assert all(op.weight_bits == 8 for op in network.ops if hasattr(op, "weight_bits"))
    found = json_of(invoke("verify", "--model", out, "--executors", "numpy,host,host-cortex-m7", "--json"))
    assert found["differing_layers"] == 0
    again = invoke("build", "--model", out, *INT8, work / "pixels.npz")
    assert again.exit_code == 1
    assert "the network is converted already" in again.stderr


@pytest.mark.parametrize("shape", [(12, 3), (7,)])
def test_a_network_of_sequences_or_vectors_takes_samples_of_its_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    draft = ModelDraft()
    draft.add("InputLayer", "input", batch_input_shape=[None, *shape], sparse=False, ragged=False)
    here, size = "input", shape[-1]
    if len(shape) == 2:
        draft.add(
            "Conv1D", "conv", "input", arrays={"kernel": random(3, 3, 4), "bias": random(4, seed=1)}, filters=4,
            kernel_size=[3], strides=[2], padding="same", dilation_rate=[1], groups=1, data_format="channels_last",
            activation="relu", use_bias=True,
        )  # fmt: skip
        draft.add("Flatten", "flatten", "conv", data_format="channels_last")
        here, size = "flatten", 24
    draft.add(
        "Dense", "fc", here, arrays={"kernel": random(size, 3, seed=2), "bias": random(3, seed=3)},
        units=3, activation="softmax", use_bias=True,
    )  # fmt: skip
    draft.save_h5(tmp_path / "m.h5")
    x = np.random.default_rng(4).normal(0, 2, (40, *shape)).astype(np.float32)
    path = tmp_path / "x.npz"
    save_samples(SampleSet(x, np.arange(40) % 3, SampleMetadata(range=(-20, 20))), path)
    options = ("--model", tmp_path / "m.h5", *INT8, path, "--samples", path, "--json")
    found = json_of(invoke("evaluate", *options, "--executor", "host"))
    reference = json_of(invoke("evaluate", *options, "--executor", "numpy"))
    assert found["total"] == 40
    assert found["correct"] == reference["correct"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "add --post-training int8 --calibrate SAMPLES.npz"),
        (["--post-training", "int8"], "--post-training needs --calibrate"),
        (["--calibrate", "pixels.npz"], "add --post-training int8 --calibrate SAMPLES.npz"),
        ([*INT8, "absent.npz"], "there is no such file"),
        ([*INT8, "m.h5"], "it is an HDF5 file, as a Keras model's .h5, not a sample file"),
        ([*INT8, "pixels.npz", "--input-range", "1", "0"], "--input-range 1 0 is not a range"),
        ([*INT8, "pixels.npz", "--input-range", "0", "inf"], "is not a range"),
        ([*INT8, "pixels.npz", "--input-range", "nan", "1"], "is not a range"),
        ([*INT8, "features.npz", *RANGE], "4 of 4 calibration samples hold values outside --input-range 0 255"),
        (["--post-training", "int5", "--calibrate", "pixels.npz"], "'int5' is not one of"),
    ],
)
def test_what_cannot_be_quantized_says_why_and_leaves_no_file(
    work: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    result = invoke("convert", "m.h5", *arguments, "-o", "bad.stq")
    assert result.exit_code != 0
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not (work / "bad.stq").exists()


def test_features_where_pixels_are_mapped_are_refused(work: Path) -> None:
    invoke("convert", work / "m.h5", *INT8, work / "pixels.npz", *RANGE, "-o", work / "mapped.stq")
    result = invoke("evaluate", "--model", work / "mapped.stq", "--samples", work / "features.npz")
    assert result.exit_code == 1
    assert "4 of 4 samples hold values outside the network's domain [0, 255]" in result.stderr


@pytest.mark.keras
def test_the_float_model_sees_what_the_network_sees(work: Path) -> None:
    from stq_deploy.evaluation.float_model import FloatModel

    made = load_samples(work / "pixels.npz")
    asked = Conversion((0.0, 255.0), PostTraining(made))
    model = FloatModel(work / "m.h5", asked)
    logits = model.logits(model.input_format.model_values(made.x))
    source = read_source(work / "m.h5", post_training=True)
    *_, (_, expected) = run_graph(source, made.x.astype(np.float32), range(len(source.nodes) - 1))
    assert model.network is not None
    np.testing.assert_allclose(logits, expected, atol=0.02 * np.abs(expected).max())
    scored = json_of(
        invoke("evaluate", "--model", work / "m.h5", *INT8, work / "pixels.npz", *RANGE,
                "--samples", work / "pixels.npz", "--executor", "float", "--json")
    )  # fmt: skip
    assert (scored["model_hash"], scored["correct"]) == (model.network.sha256(), int((logits.argmax(1) == 0).sum()))


@pytest.mark.keras
def test_verify_tells_each_layers_noise(work: Path) -> None:
    arguments = ["verify", "--model", work / "m.h5", *INT8, work / "pixels.npz", *RANGE, "--samples",
                 work / "pixels.npz", "--limit", "8", "--executors", "numpy,host"]  # fmt: skip
    found = json_of(invoke(*arguments, "--json"))
    noise = {layer["name"]: layer["decibels"] for layer in found["float"]["layers"]}
    assert noise.keys() >= {"conv1", "conv2", "add", "gated", "pool"}
    assert all(20 < ratio < 70 for ratio in noise.values())
    assert found["float"]["differing_predictions"] <= 1
    shown = invoke(*arguments)
    assert "signal to quantization noise" in " ".join(shown.stdout.split())
    assert f"{noise['conv1']:.1f} dB" in shown.stdout


@pytest.mark.keras
def test_noise_is_that_on_samples_like_those_calibrated_on(work: Path) -> None:
    """Not on the extremes and the noise that the bytes are compared on: ranges are not made for these."""
    float_draft().save_h5(work / "dark.h5")
    save_samples(SampleSet(float_pixels(16) // 32, np.zeros(16, np.int64)), work / "dark.npz")
    arguments = ["verify", "--model", work / "dark.h5", *INT8, work / "dark.npz", "--executors", "numpy,host", "--json"]
    for layer in json_of(invoke(*arguments))["float"]["layers"]:
        assert layer["decibels"] > 20, layer


def test_the_shipped_float_model_keeps_its_accuracy_in_8_bits() -> None:
    """Calibrated on 32 of its samples, scored on 128 others: as many right as in floating point, within two."""
    path, clean = resolve_model("zoo:fp-cifar10"), load_samples(shipped_samples()[CLEAN])
    scored = SampleSet(clean.x[32:160], clean.y[32:160])
    network = convert_model(path, Conversion(post_training=PostTraining(clean.first(32))))
    assert sum(op.weights.size for op in network.ops if hasattr(op, "weights")) == 996_096
    integer = classes_of(NumpyExecutor(plan_network(network)).run(quantize_input(scored.x, network.input_format))[0])
    source = read_source(path, post_training=True)
    *_, (_, floats) = run_graph(source, model_values(scored.x, 0.0, 1.0))
    right = [int((predicted == scored.y).sum()) for predicted in (integer, classes_of(floats))]
    assert right[1] > 90
    assert right[0] >= right[1] - 2
    assert (integer != classes_of(floats)).sum() <= 4
