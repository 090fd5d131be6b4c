"""One pipeline behind `convert`, `build` and the Python interface, and the result of each step."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stq_deploy as stq
from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import load_samples
from stq_deploy.pipeline import STEPS, Conversion, Pipeline, PostTraining, Watch
from stq_deploy.pipeline.watch import between_text
from stq_deploy.program import plan_network
from stq_deploy.toolchain.former_build import read_identity
from stq_deploy.zoo.shipped import DEFAULT_MODEL
from tests.helpers.command_line import invoke, json_of
from tests.helpers.model_files import ModelDraft, random

NAMES = [
    "read", "quantize-after-training", "decide", "emit", "add-input-noise", "drop-unread-units",
    "pack-activations", "plan",
]  # fmt: skip
FEATURES = np.random.default_rng(0).uniform(-2, 2, (64, 4)).astype(np.float32)
OPTIONS = ("--post-training", "int8", "--calibrate")


def draft(name: str = "a") -> ModelDraft:
    """Two dense layers without quantizers; no weight reads the third of the first one's six units."""
    model = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, 4])
    second = random(6, 3, seed=3)
    second[2] = 0
    first = {"kernel": random(4, 6, seed=6), "bias": random(6, seed=9)}
    model.add("Dense", name, "x", arrays=first, units=6, activation="relu", use_bias=True)
    last = {"kernel": second, "bias": random(3, seed=9)}
    return model.add("Dense", "b", name, arrays=last, units=3, activation="linear", use_bias=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and samples to calibrate it with."""
    folder = tmp_path_factory.mktemp("pipeline")
    np.savez(folder / "x.npz", x=FEATURES, metadata=np.array(json.dumps({"range": [-2, 2]})))
    return draft().save_h5(folder / "model.h5"), folder / "x.npz"


def conversion_of(samples: Path) -> Conversion:
    return Conversion(post_training=PostTraining(load_samples(samples)))


def shown(output: str) -> dict[str, str]:
    """Step -> the table that was shown after it."""
    parts = re.split(r"^after ([\w-]+):\n", output, flags=re.MULTILINE)[1:]
    return {name: text.partition("\n\n")[0] for name, text in zip(parts[::2], parts[1::2], strict=True)}


def test_the_steps_in_their_order() -> None:
    assert [step.name for step in STEPS] == NAMES == stq.step_names()


def test_convert_shows_what_stands_between_two_steps(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Every step's table, in the order of the steps whatever that of the options, is that of its own result."""
    model, samples = files
    out = tmp_path / "net.stq"
    asked = [text for name in reversed(NAMES) for text in ("--print-after", name)]
    rewrites = ("--drop-unread-units", "--pack-activations")
    result = invoke("convert", model, "-o", out, *OPTIONS, samples, *rewrites, *asked)
    assert result.exit_code == 0, result.output
    found = shown(result.stdout)
    assert list(found) == NAMES
    kinds = {name: [line.split()[2] for line in found[name].splitlines()[1:]] for name in NAMES[:2]}
    assert kinds["read"] == ["input", "dense", "bias", "clip", "dense", "bias"]
    assert kinds["quantize-after-training"] == [
        "input", "quantize", "dense", "bias", "clip", "quantize", "dense", "bias"
    ]  # fmt: skip
    assert re.search(r"^b +logits +dense +a +3 +int32 ", found["decide"], re.MULTILINE)
    assert re.search(r"^a +dense +6 ", found["emit"], re.MULTILINE)
    assert re.search(r"^a +dense +5 ", found["drop-unread-units"], re.MULTILINE)
    net = stq.load(out)
    assert found["drop-unread-units"] == found["pack-activations"] == str(net)
    plan = found["plan"].splitlines()
    assert [line.split()[0] for line in plan[1:]] == ["a", "b", "total"]
    assert plan[-1].split()[1] == f"{net.program.arena.bytes:,}"
    assert "unread units: a keeps 5 of 6" in result.stdout


def test_the_python_interface_shows_the_same(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, samples = files
    result = invoke("convert", model, "-o", tmp_path / "n.stq", *OPTIONS, samples, "--print-after", "emit")
    whole = stq.convert(model, calibrate=samples, post_training=True, drop_unread_units=True, print_after="emit")
    assert shown(capsys.readouterr().out) == shown(result.stdout)
    assert whole.predict(FEATURES).shape == (64, 3)
    stq.convert(model, calibrate=samples, post_training=True, print_after=["plan", "read"])
    assert list(shown(capsys.readouterr().out)) == ["read", "plan"]


def test_json_stays_alone_on_standard_output(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, samples = files
    result = invoke("convert", model, "-o", tmp_path / "n.stq", *OPTIONS, samples, "--print-after", "emit", "--json")
    assert json_of(result)["ops"]
    assert list(shown(result.stderr)) == ["emit"]


def test_build_makes_the_rewrites_of_convert(files: tuple[Path, Path], tmp_path: Path) -> None:
    """From the model, and from the .stq network that `convert` made without them."""
    model, samples = files
    plain, small = tmp_path / "plain.stq", tmp_path / "small.stq"
    assert invoke("convert", model, "-o", plain, *OPTIONS, samples).exit_code == 0
    assert invoke("convert", model, "-o", small, *OPTIONS, samples, "--drop-unread-units").exit_code == 0
    assert stq.load(plain).model_hash != stq.load(small).model_hash
    for source in ((model, *OPTIONS, samples), (plain,)):
        arguments = ("--model", *source, "--out", tmp_path / "fw", "--drop-unread-units")
        result = invoke("build", *arguments, "--print-after", "drop-unread-units")
        assert result.exit_code == 0, result.output
        assert read_identity(tmp_path / "fw").model_hash == stq.load(small).model_hash
        assert shown(result.stdout) == {"drop-unread-units": str(stq.load(small))}
        assert "unread units: a keeps 5 of 6" in result.stdout
        assert "--drop-unread-units" in (tmp_path / "fw" / "network" / "stq_model.h").read_text()


@pytest.mark.parametrize("step", ["lower", "Emit", "", "emitt"])
def test_an_unknown_step_is_an_error_that_lists_the_steps(step: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    """Before anything is read or written."""
    model, samples = files
    out = tmp_path / "out"
    commands: list[tuple[Any, ...]] = [
        ("convert", model, "-o", out, *OPTIONS, samples, "--print-after", step),
        ("build", "--model", model, *OPTIONS, samples, "--out", out, "--print-after", step),
    ]
    for command in commands:
        result = invoke(*command)
        assert result.exit_code == 1
        assert ", ".join(NAMES) in result.output
    with pytest.raises(StqError, match=f"no step '{step}'"):
        stq.convert(model, print_after=step)
    assert not out.exists()


@pytest.mark.parametrize("step", ["quantize-after-training", "decide", "emit"])
def test_a_step_that_a_converted_network_skips_is_an_error(step: str) -> None:
    result = invoke("build", "--model", DEFAULT_MODEL, "--print-after", step)
    assert result.exit_code == 1
    assert "converted already" in result.output and "drop-unread-units" in result.output


def test_names_of_a_network_are_made_printable(files: tuple[Path, Path]) -> None:
    """Names in a .stq file are untrusted: an escape sequence reaches no terminal."""
    network = Pipeline(conversion_of(files[1])).convert(files[0])
    first = replace(network.ops[0], name="a\x1b[2J\u202e\n")
    hostile = replace(network, ops=(first, *network.ops[1:]))
    for text in (between_text(hostile), between_text(plan_network(hostile))):
        assert "a?[2J??" in text
        assert all(line.isprintable() for line in text.split("\n"))


def test_a_step_that_fails_leaves_the_tables_of_those_before(files: tuple[Path, Path]) -> None:
    """The table comes when the step ends, for whoever looks for the fault in the next one."""
    seen: list[str] = []
    pipeline = Pipeline(watch=Watch(tuple(NAMES), lambda step, _: seen.append(step)))
    with pytest.raises(StqError):
        pipeline.program(files[0])  # floating-point weights, and no quantization after training
    assert seen == []
    conversion = conversion_of(files[1])
    pipeline = Pipeline(conversion, watch=Watch(tuple(NAMES), lambda step, _: seen.append(step)))
    network = pipeline.convert(files[0])
    assert seen == ["read", "quantize-after-training", "decide", "emit"]
    assert between_text(network) == str(stq.IntegerNetwork(network))
    assert pipeline.plan(network).arena.bytes == plan_network(network).arena.bytes
