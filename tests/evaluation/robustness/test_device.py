"""Robustness runs that a board takes part in, sweeps over several models, and engines."""

from __future__ import annotations

import csv
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet, load_samples, save_samples
from stq_deploy.evaluation.robustness.presets import load_preset
from tests.helpers.command_line import invoke, json_of
from tests.helpers.noise_classifier import SHAPE, classes_of_pixels, save_noise_classifier

pytestmark = pytest.mark.keras

COUNT = 8
PRESET = """
title = "Small"
samples = 8
[[series]]
name = "Linf"
norm = "inf"
eps = ["1/255", "3/255"]
[[series.attack]]
attack = "fgsm"
alone = true
"""
LIVE = """
[[device.live]]
attack = "square"
norm = "inf"
eps = "3/255"
samples = 4
settings = { max_iter = "12" }
"""


@pytest.fixture(name="work", scope="module")
def _work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stq_deploy.pipeline import convert_model

    work = tmp_path_factory.mktemp("device")
    network = convert_model(save_noise_classifier(work / "one.h5"))
    save_noise_classifier(work / "two.h5", seed=3)
    x = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
    save_samples(
        SampleSet(x, classes_of_pixels(network, x), SampleMetadata(class_names=("a", "b", "c"))), work / "in.npz"
    )
    (work / "plain.toml").write_text(PRESET)
    (work / "device.toml").write_text(PRESET + LIVE)
    return work


def _command(work: Path, preset: str, *models: str) -> list[object]:
    return [
        "robustness", *(work / f"{name}.h5" for name in models), "--preset", work / f"{preset}.toml", "--sample-file",
        work / "in.npz", "--processes", "1", "--json",
    ]  # fmt: skip


def test_the_board_says_what_the_integer_network_says(work: Path, tmp_path: Path) -> None:
    from stq_deploy.pipeline import convert_model

    command = [*_command(work, "device", "one"), "--boards", "1", "--out", tmp_path / "out"]
    found = json_of(invoke(*command))
    device, rows = found["device"], found["series"][0]["rows"]
    assert device["samples_equal_to_reference"] == 3 * COUNT
    assert [one["right"]["correct"] for one in device["streamed"]] == [
        COUNT, *(row["integer"]["correct"] for row in rows)
    ]  # fmt: skip
    # Again by the reference, from the files that were written.
    network = convert_model(work / "one.h5")
    for eps, row in zip(("1-255", "3-255"), rows, strict=True):
        worst = load_samples(tmp_path / "out" / f"worst-Linf-{eps}.npz")
        assert int((classes_of_pixels(network, worst.x) == worst.y).sum()) == row["integer"]["correct"]
    cost = found["cpu_seconds_a_sample"]["Linf"]
    assert 0 < cost["all"] == pytest.approx(sum(cost["by_budget"].values()), abs=3e-4)
    assert cost["all"] == pytest.approx(sum(cost["by_attack"].values()), abs=3e-4)
    (live,) = device["live"]
    attacked = load_samples(tmp_path / "out" / "live-square.npz")
    assert int((classes_of_pixels(network, attacked.x) == attacked.y).sum()) == live["left"]["correct"] < 4
    assert np.abs(attacked.x.astype(int) - load_samples(work / "in.npz").x[:4]).max() == 3
    assert live["queries"] == live["queries_equal_to_host_twin"] == live["queries_asked_now"]
    lines = list(csv.DictReader((tmp_path / "out" / "robustness.csv").read_text().splitlines()))
    said = {line["attack"]: (line["right"], line["samples"]) for line in lines if line["series"] == "device"}
    assert said["worst-Linf-3-255.npz, board"] == (str(rows[1]["integer"]["correct"]), str(COUNT))
    assert said["Square, live"] == (str(live["left"]["correct"]), "4")
    page = (tmp_path / "out" / "robustness.html").read_text()
    assert "CPU-seconds per sample: Linf" in page
    assert "On the board" in page and "worst-Linf-3-255.npz" in page
    again = json_of(invoke(*command))["device"]
    assert again["live"][0]["queries_asked_now"] == 0
    assert again["live"][0]["log_sha256"] == live["log_sha256"]
    assert again["streamed"] == device["streamed"]


def test_several_models_have_a_folder_each_and_rows_together(work: Path, tmp_path: Path) -> None:
    one = json_of(invoke(*_command(work, "plain", "one"), "--out", tmp_path / "one"))
    both = json_of(invoke(*_command(work, "plain", "one", "two"), "--out", tmp_path / "both"))["models"]
    assert [record["model"] for record in both] == ["one.h5", "two.h5"]
    assert both[0]["series"] == one["series"] != both[1]["series"]
    assert json.loads((tmp_path / "both" / "two" / "robustness.json").read_text()) == both[1]
    lines = list(csv.DictReader((tmp_path / "both" / "sweep.csv").read_text().splitlines()))
    alone = list(csv.DictReader((tmp_path / "one" / "robustness.csv").read_text().splitlines()))
    assert {line["model"] for line in lines} == {"one", "two"}
    assert [{k: v for k, v in line.items() if k != "model"} for line in lines if line["model"] == "one"] == alone


def test_two_models_of_one_name_are_refused(work: Path, tmp_path: Path) -> None:
    (tmp_path / "one.h5").write_bytes((work / "one.h5").read_bytes())
    done = invoke("robustness", work / "one.h5", tmp_path / "one.h5", "--preset", work / "plain.toml", "--sample-file",
                  work / "in.npz", "--out", tmp_path / "out")  # fmt: skip
    assert "two of the models have one name" in done.stderr and not (tmp_path / "out").exists()


def test_ray_attacks_every_shard_of_every_model(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in of Ray's few calls that works off tasks backwards, so that models alternate as on a cluster."""
    asked: list[int] = []

    def get(future: tuple[types.FunctionType, int]) -> int:
        task, number = future
        asked.append(number)
        return int(task(number))

    ray = types.ModuleType("ray")
    vars(ray).update(
        init=lambda **_: None,
        remote=lambda task: types.SimpleNamespace(remote=lambda number: (task, number)),
        wait=lambda futures: (futures[-1:], futures[:-1]),
        get=get,
        exceptions=types.SimpleNamespace(RayTaskError=StqError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr("stq_deploy.evaluation.robustness.run.SHARD", 5)
    command = _command(work, "plain", "one", "two")
    there = json_of(invoke(*command, "--engine", "ray", "--out", tmp_path / "ray"))["models"]
    assert asked == [3, 2, 1, 0]
    here = json_of(invoke(*command, "--out", tmp_path / "local"))["models"]
    assert [record["series"] for record in there] == [record["series"] for record in here]


def test_ray_missing_is_explained(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = invoke(*_command(work, "plain", "one"), "--engine", "ray", "--out", tmp_path / "out")
    assert done.exit_code == 1 and "needs Ray" in done.stderr and "pip install " + "stq-deploy" not in done.stderr
    assert not (tmp_path / "out" / "robustness.json").exists()


def test_presets_of_a_board(tmp_path: Path) -> None:
    device, quick = load_preset("device"), load_preset("quick")
    assert device.series == quick.series and device.device is not None and quick.device is None
    (live,) = device.device.live
    assert (live.samples, live.made().settings["max_iter"]) == (16, 500)
    (tmp_path / "p.toml").write_text('title = "x"\nsamples = 1\nseries_of = "quik"\n')
    with pytest.raises(StqError, match="no preset 'quik'"):
        load_preset(str(tmp_path / "p.toml"))
    (tmp_path / "p.toml").write_text(PRESET + LIVE.replace("square", "pgd"))
    with pytest.raises(StqError, match="a board cannot answer the attack 'pgd'"):
        load_preset(str(tmp_path / "p.toml"))
