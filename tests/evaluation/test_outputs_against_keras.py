"""Every kind of output, scored by the commands, against the score that Keras's predict gives on the raw pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.network import load_network
from tests.helpers.command_line import invoke, json_of
from tests.helpers.emulation import needs_emulator
from tests.helpers.evaluation.output_models import CASES, Array, Case, build, pixels

pytestmark = pytest.mark.keras


@dataclass(frozen=True)
class Made:
    """A case's files, and what its score must be."""

    case: Case
    model: Path
    samples: Path
    figure: float


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    work, known = tmp_path_factory.mktemp("outputs"), dict[str, Made]()

    def make(name: str) -> Made:
        if name not in known:
            case, x = CASES[name], pixels()
            model = build(case)
            model.save(work / f"{name}.h5")
            raw: Array = x / np.float32(255)
            outputs = model.predict(raw, verbose=0)
            first = outputs[0] if isinstance(outputs, list) else outputs
            y = case.labels(first, raw)
            labels = {} if y is None else {"y": y}
            np.savez(work / f"{name}.npz", x=x, **labels)
            expected = case.score(first, np.zeros(0) if y is None else y, raw)
            known[name] = Made(case, work / f"{name}.h5", work / f"{name}.npz", expected)
        return known[name]

    return make


@pytest.mark.parametrize("executor", ["float", "numpy", "host"])
@pytest.mark.parametrize("name", CASES)
def test_the_score_is_keras_s(made: Callable[[str], Made], name: str, executor: str) -> None:
    one = made(name)
    common = ("--model", one.model, "--samples", one.samples, *one.case.options)
    found = json_of(invoke("evaluate", *common, "--executor", executor, "--json"))
    assert found["task"] == one.case.task
    # Values differ by float32's rounding; classes only where that falls on a tie.
    allowed = max(one.case.near * max(1.0, abs(one.figure)), 1e-6) if executor != "float" else 1e-5 * abs(one.figure)
    assert found[one.case.figure] == pytest.approx(one.figure, abs=allowed)


@pytest.mark.parametrize("name", CASES)
def test_a_converted_network_knows_its_output(made: Callable[[str], Made], tmp_path: Path, name: str) -> None:
    """What the model says of its output, and what the user says at conversion, outlives the Keras file."""
    one = made(name)
    told = one.case.options
    assert invoke("convert", one.model, *told, "-o", tmp_path / "net.stq").exit_code == 0
    common = ("evaluate", "--samples", one.samples, "--executor", "numpy", "--json", "--model")
    direct, converted = (
        json_of(invoke(*common, model, *options)) for model, options in ((one.model, told), (tmp_path / "net.stq", ()))
    )
    assert converted["task"] == one.case.task
    assert converted[one.case.figure] == direct[one.case.figure]


@pytest.mark.parametrize("name", ["softmax", "sigmoid unit", "sigmoids", "segmentation", "autoencoder", "two outputs"])
def test_verify_compares_every_kind(made: Callable[[str], Made], name: str) -> None:
    one = made(name)
    done = invoke("verify", "--model", one.model, "--executors", "numpy,host", "--samples", one.samples)
    assert done.exit_code == 0, done.output
    values = name == "autoencoder"
    assert ("Outputs differ from the float model's by" if values else "differ from the float model's: 0 of 4") in (
        done.stdout
    )


@pytest.mark.parametrize("name", ["sigmoid unit", "sigmoids", "segmentation"])
def test_thresholds_are_exact(made: Callable[[str], Made], tmp_path: Path, name: str) -> None:
    """Where the network's fixed-point logits tell a class by their sign, its certificate says that they do."""
    one = made(name)
    assert invoke("convert", one.model, "-o", tmp_path / "net.stq").exit_code == 0
    network = load_network(tmp_path / "net.stq")
    (last,) = [op.name for op in network.ops if op.output == network.outputs[0]]
    certificate = network.metadata.certificates[last]
    assert (certificate.exact if certificate.exact_signs is None else certificate.exact_signs) is (
        name != "segmentation" or certificate.exact
    )


@needs_emulator
@pytest.mark.parametrize("name", ["sigmoid unit", "segmentation", "sigmoid autoencoder", "two outputs"])
def test_run_scores_and_reports_every_kind(made: Callable[[str], Made], tmp_path: Path, name: str) -> None:
    one = made(name)
    done = invoke(
        "run", "--emulated", "--boards", "1", "--model", one.model, "--samples", one.samples, "--limit", "8",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    (found,) = json_of(done)["results"]
    assert found["task"] == one.case.task
    assert found["board"] == found["reference"]
    assert (found["board_reference_mismatches"], found["board_reference_logit_mismatches"]) == (0, 0)
    assert found["float"] == pytest.approx(found["board"], rel=1e-4)
    assert found["board_score"][one.case.figure] == found["board"]
    if found["task"] == "reconstruction":
        assert found["float_reference_mismatches"] is None
        assert 0 < found["float_reference_rms"] < 1e-4
    else:
        assert found["float_reference_mismatches"] == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{one.case.task}: " in page and one.samples.stem in page and "unknown" not in page


@needs_emulator
def test_run_needs_no_labels(made: Callable[[str], Made], tmp_path: Path) -> None:
    one = made("softmax")
    np.savez(tmp_path / "bare.npz", x=pixels()[:4])
    common = ("--model", one.model, "--samples", tmp_path / "bare.npz")
    done = invoke("run", "--emulated", "--boards", "1", *common, "--out", tmp_path / "out", "--json")
    (found,) = json_of(done)["results"]
    assert (found["board"], found["board_reference_logit_mismatches"]) == (None, 0)
    assert "no labels" in (tmp_path / "out" / "report.html").read_text()
    refused = invoke("evaluate", *common)
    assert refused.exit_code == 1
    assert "the samples have no labels" in refused.stderr


def test_labels_are_checked_by_every_command_that_scores(made: Callable[[str], Made], tmp_path: Path) -> None:
    one = made("softmax")
    x = pixels()[:4]
    np.savez(tmp_path / "beyond.npz", x=x, y=np.array([0, 77, 1, 2]))
    common = ("--model", one.model, "--samples", tmp_path / "beyond.npz")
    for command in (
        ("evaluate",),
        ("evaluate", "--executor", "float"),
        ("run", "--emulated", "--out", tmp_path / "out"),
        ("attack", "--attack", "fgsm", "-o", tmp_path / "a.npz"),
    ):
        refused = invoke(*command, *common)
        assert refused.exit_code == 1, command
        assert "class 77, the" in refused.stderr
    assert not (tmp_path / "out" / "results").exists() and not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize("name", ["tanh unit", "autoencoder", "segmentation"])
def test_attacks_refuse_outputs_that_are_no_classes(made: Callable[[str], Made], tmp_path: Path, name: str) -> None:
    one = made(name)
    refused = invoke("attack", "--model", one.model, "--samples", one.samples, "--attack", "fgsm", "-o", tmp_path / "a")
    assert refused.exit_code == 1
    assert "attacks need a model of classes" in refused.stderr


def test_an_attack_knows_the_two_classes_of_a_sigmoid_unit(made: Callable[[str], Made], tmp_path: Path) -> None:
    """What `attack` records of clean samples is what `evaluate` finds, of the float model and of the network."""
    one = made("sigmoid unit")
    common = ("--model", one.model, "--samples", one.samples)
    (found,) = json_of(invoke("attack", "--attack", "none", *common, "-o", tmp_path / "clean.npz", "--json"))["files"]
    assert found["correct"]["clean"] == found["correct"]["integer"] == round(one.figure * found["samples"])


def test_calibration_needs_no_labels(tmp_path: Path) -> None:
    import tf_keras

    x = pixels()
    tf_keras.Sequential([tf_keras.layers.Input(x.shape[1:]), tf_keras.layers.Flatten(), tf_keras.layers.Dense(3)]).save(
        tmp_path / "m.h5"
    )
    np.savez(tmp_path / "bare.npz", x=x)
    done = invoke(
        "convert", tmp_path / "m.h5", "--post-training", "int8", "--calibrate", tmp_path / "bare.npz", "-o",
        tmp_path / "net.stq",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
