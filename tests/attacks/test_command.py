"""`attack`, and what needs the float model beside it: recorded predictions, `evaluate --executor float`, `verify`."""

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from tests.helpers.command_line import invoke, json_of

pytestmark = pytest.mark.keras

SHAPE = (10, 10, 1)


@pytest.fixture(name="work", scope="module")
def _work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small QKeras model with random weights, and samples labelled with what it says of them."""
    # ART sets up logging anew when imported, which closes absl's stream unless that is sys.stderr at the time. So
    # not first inside a CliRunner, which replaces sys.stderr.
    import art.estimators.classification  # noqa: F401
    import qkeras
    import tf_keras

    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.pipeline import convert_model

    work = tmp_path_factory.mktemp("attack")
    tf_keras.utils.set_random_seed(1)
    inputs = tf_keras.Input(SHAPE)
    x = qkeras.QActivation("quantized_relu(8,0)", name="input_levels")(inputs)
    kernel = "quantized_bits(4,0,1,alpha=1)"
    x = qkeras.QConv2D(4, 3, kernel_quantizer=kernel, use_bias=False, name="conv")(x)
    x = qkeras.QActivation("quantized_relu(4,2)", name="relu")(x)
    x = tf_keras.layers.Flatten(name="flatten")(x)
    x = qkeras.QDense(3, kernel_quantizer=kernel, use_bias=False, name="fc")(x)
    model = tf_keras.Model(inputs, tf_keras.layers.Activation("softmax", name="softmax")(x), name="small")
    model.save(work / "m.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (12, *SHAPE)).astype(np.uint8)
    seen = convert_model(work / "m.h5").input_format
    labels = FloatModel(work / "m.h5").classes(seen.model_values(pixels))
    save_samples(SampleSet(pixels, labels, SampleMetadata("noise")), work / "in.npz")
    return work


def test_attack_writes_files_that_the_other_commands_understand(work: Path) -> None:
    found = json_of(
        invoke(
            "attack",
            "--model",
            work / "m.h5",
            "--attack",
            "none",
            "--attack",
            "fgsm",
            "--eps",
            "16/255",
            "--samples",
            work / "in.npz",
            "-o",
            work / "made",
            "--json",
        )
    )
    assert [(f["attack"], f["samples"]) for f in found["files"]] == [("clean", 12), ("fgsm", 12)]
    clean, attacked = (load_samples(f["file"]) for f in found["files"])
    assert clean.metadata.dataset == attacked.metadata.dataset == "noise"
    assert found["files"][0]["correct"]["clean"] == 12
    assert found["files"][1]["correct"]["after_input_quantisation"] < 12
    assert np.abs(attacked.x.astype(int) - clean.x.astype(int)).max() == 16
    assert attacked.metadata.attack.settings == {"eps": 16 / 255, "norm": "inf", "l1_step": "pixel"}
    for name in ("clean", "fgsm"):
        path = work / "made" / f"{name}.npz"
        scores = [
            json_of(invoke("evaluate", "--model", work / "m.h5", "--samples", path, "--executor", e, "--json"))
            for e in ("float", "numpy")
        ]
        recorded = load_samples(path).float_predictions(found["model_hash"])
        assert recorded is not None
        assert scores[0]["correct"] == scores[1]["correct"] == int((recorded == clean.y).sum())


def test_one_attack_into_one_file_and_the_same_bytes_again(work: Path) -> None:
    command = ["attack", "--model", work / "m.h5", "--attack", "square", "--set", "max_iter=5", "--samples",
               work / "in.npz", "--limit", "4", "--seed", "3", "-o"]  # fmt: skip
    for name in ("a.npz", "b.npz"):
        done = invoke(*command, work / name)
        assert done.exit_code == 0, done.output
        assert "of 4 samples the float model gets right 4 clean" in done.stdout
    assert (work / "a.npz").read_bytes() == (work / "b.npz").read_bytes()


@pytest.mark.parametrize("option", ["--queries", "--port", "--boards"])
def test_options_of_a_board_without_a_board_are_refused(work: Path, option: str) -> None:
    done = invoke(
        "attack", "--model", work / "m.h5", "--attack", "square", "--samples", work / "in.npz", option, "3", "-o",
        work / "refused.npz",
    )  # fmt: skip
    assert done.exit_code == 1 and "add --live" in done.stderr
    assert not (work / "refused.npz").exists()


@pytest.mark.parametrize("option", ["--noise-seed", "--noise-draws"])
def test_options_of_a_noise_without_a_noise_are_refused(work: Path, option: str) -> None:
    done = invoke("evaluate", "--model", work / "m.h5", "--samples", work / "in.npz", option, "3")
    assert done.exit_code == 1 and "add --noise SIGMA" in done.stderr


def test_verify_counts_what_differs_from_the_float_model(work: Path) -> None:
    done = invoke(
        "verify", "--model", work / "m.h5", "--executors", "numpy,host", "--samples", work / "in.npz", "--limit",
        "12", "--json",
    )  # fmt: skip
    found = json_of(done)
    # Weights, levels and scales are small binary fractions here: float32 is exact, so nothing may differ.
    assert found["float"]["differing_activations"] == 0
    assert found["float"]["activations"] >= 12 * 8 * 8 * 4
    assert found["float"]["differing_predictions"] == 0
    assert "float32" in done.stderr


def test_a_float_model_of_other_weights_is_seen_to_differ(work: Path) -> None:
    from stq_deploy.evaluation.float_comparison import compare_with_float
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.evaluation.inputs import read_inputs
    from stq_deploy.pipeline import convert_model

    network, model = convert_model(work / "m.h5"), FloatModel(work / "m.h5")
    layer = model.keras.get_layer("conv")
    layer.set_weights([-w for w in layer.get_weights()])
    inputs = read_inputs(load_samples(work / "in.npz"), network.input_format)
    found = compare_with_float(model, network, inputs)
    assert {x.name: x.differing > 0 for x in found.layers}["conv"]
    assert found.predictions.differing
