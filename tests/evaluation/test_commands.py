"""`run`, `verify`, `evaluate` and `demo` from end to end, on a small network and real emulated boards."""

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.datasets.sample_metadata import AttackRecord, FloatModelRecord, SampleMetadata
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.evaluation.scores import classes_of
from stq_deploy.executors import open_executor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, save_network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.program import Program, plan_network
from tests.helpers.broken_executor import BrokenExecutor
from tests.helpers.command_line import invoke, json_of
from tests.helpers.emulation import needs_emulator
from tests.helpers.networks import random_levels, random_network

COUNT = 6


@pytest.fixture(name="network", scope="module")
def _network() -> Network:
    return random_network(3)


@pytest.fixture(name="work", scope="module")
def _work(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and two sample files; the first records float predictions, of which one differs from the network's."""
    work = tmp_path_factory.mktemp("commands")
    save_network(network, work / "net.stq")
    classes = network.output_type.elements
    random = np.random.default_rng(2)
    for name in ("clean", "fgsm"):
        x = random.integers(0, 256, (COUNT, *network.input_type.shape)).astype(np.uint8)
        predicted = _reference(network, x)
        y = predicted.copy()
        y[:2] = (y[:2] + 1) % classes
        metadata = SampleMetadata(attack=AttackRecord(name))
        if name == "clean":
            flipped = [int(p) for p in predicted]
            flipped[3] = (flipped[3] + 1) % classes
            record = FloatModelRecord(model_hash=network.sha256(), predictions=tuple(flipped))
            metadata = replace(metadata, float_model=record)
        save_samples(SampleSet(x, y, metadata), work / f"{name}.npz")
    return work


@pytest.fixture(name="built")
def _built(work: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """There is a build of the model where `stq-deploy build` puts it: what build.json says of it."""
    folder = work / "build" / "stm32h743"
    monkeypatch.setattr("stq_deploy.executors.firmware.default_build_folder", lambda board: work / "build" / board)
    if not folder.is_dir():
        assert invoke("build", "--model", work / "net.stq", "--out", folder).exit_code == 0
    value = json.loads((folder / "build.json").read_text())
    assert isinstance(value, dict)
    return value


def _reference(network: Network, x: np.ndarray) -> np.ndarray:
    return classes_of(NumpyExecutor(plan_network(network)).run(quantize_input(x, network.input_format))[0])


@needs_emulator
def test_a_build_says_what_lies_where_and_can_be_told(work: Path, tmp_path: Path) -> None:
    usual = ("build", "--model", work / "net.stq", "--out", tmp_path / "build")
    told = invoke(*usual, "--place", "arena=sram1_2_3", "--place", "weights=flash_bank2")
    assert told.exit_code == 0, told.stderr
    text = " ".join(told.stdout.split())
    assert "What lies where" in text and "asked for" in text and "sram1_2_3" in text and "flash_bank2" in text
    report = json.loads((tmp_path / "build" / "build.json").read_text())
    memories = {part["group"]: part["memory"] for part in report["placement"]}
    assert memories == {"arena": "sram1_2_3", "scratch": "dtcm", "weights": "flash_bank2", "kernels": "itcm"}
    assert all(part["reason"] and part["bytes"] >= 0 and part["accesses"] >= 0 for part in report["placement"])
    page = (tmp_path / "build" / "memory.html").read_text()
    assert "asked for sram1_2_3" in page and page.count("<svg") == 3
    arena = json_of(invoke(*usual, "--json"))["arena"]
    assert arena["order_lower_bound"] <= arena["lower_bound"] <= arena["bytes"]
    assert f"Arena {arena['bytes']:,} bytes; at least {arena['lower_bound']:,} with" in text
    before = (tmp_path / "build" / "firmware.elf").read_bytes()
    for place, message in (
        ("arena=sram9", "no memory 'sram9'"),
        ("stack=dtcm", "no part 'stack'"),
        ("x", "not a placement"),
    ):
        refused = invoke(*usual, "--place", place)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert message in refused.stderr
    assert (tmp_path / "build" / "firmware.elf").read_bytes() == before


def checked_line(members: dict[str, Any]) -> str:
    """A line of a results file, its check sum made anew."""
    content = json.dumps({name: value for name, value in members.items() if name != "crc"})[:-1]
    return f'{content},"crc":"{zlib.crc32(content.encode()):08x}"}}'


@needs_emulator
def test_run_resumes_scores_and_reports(work: Path, network: Network, built: dict[str, Any]) -> None:
    arguments = [
        "run", "--emulated", "--boards", "2", "--model", work / "net.stq", "--samples", work / "clean.npz",
        "--samples", work / "fgsm.npz", "--out", work / "out", "--json",
    ]  # fmt: skip
    first = invoke(*arguments, "--limit", "4")
    assert first.exit_code == 0, first.stderr
    found = json_of(first)
    assert (found["samples"], found["samples_run"], found["model_hash"]) == (8, 8, network.sha256())
    assert (found["build_id"], found["flash_bytes"]) == (built["build_id"], built["flash_bytes"])
    clean, fgsm = found["results"]
    assert (clean["attack"], clean["board"], clean["reference"], clean["float"]) == ("clean", 0.5, 0.5, 0.25)
    assert (fgsm["float"], fgsm["board_reference_logit_mismatches"]) == (None, 0)
    assert clean["float_reference_mismatches"] == 1
    assert found["instructions_per_inference"] == sum(layer["instructions"] for layer in found["layers"]) > 1000

    again = json_of(invoke(*arguments))
    assert (again["samples"], again["samples_run"], again["build_id"]) == (12, 4, found["build_id"])
    assert again["instructions_per_inference"] == found["instructions_per_inference"]
    assert (work / "out" / "report.html").read_text().count("<svg") >= 4
    assert json.loads((work / "out" / "run.json").read_text())["samples"] == 12

    (results,) = (work / "out" / "results").glob("clean-*.jsonl")
    header, *lines = results.read_text().splitlines()
    other = json.loads(header) | {"build_id": "0" * 32}
    results.write_text("\n".join([checked_line(other), *lines, ""]))
    refused = invoke(*arguments)
    assert refused.exit_code == 1
    assert "another run: their build_id" in refused.stderr


@needs_emulator
@pytest.mark.usefixtures("built")
def test_a_board_that_differs_fails_the_run(work: Path) -> None:
    """Wrong logits from the board, planted in its results file, must end in exit code 1 and be counted."""
    arguments = [
        "run", "--emulated", "--boards", "1", "--model", work / "net.stq", "--samples", work / "clean.npz",
        "--out", work / "wrong", "--json", "--limit", "2",
    ]  # fmt: skip
    assert invoke(*arguments).exit_code == 0
    (path,) = (work / "wrong" / "results").glob("*.jsonl")
    header, first, second = path.read_text().splitlines()
    result = json.loads(first)
    result["logits"][0] += 1
    path.write_text("\n".join([header, checked_line(result), second, ""]))
    failed = invoke(*arguments)
    found = json_of(failed, exit_code=1)["results"][0]
    assert (found["board_reference_logit_mismatches"], found["differing_samples"]) == (1, [result["index"]])
    assert f"differs from the integer reference in 1 of 2 samples: sample {result['index']} of clean" in failed.stderr
    assert "differ from the integer reference" in (work / "wrong" / "report.html").read_text()


@needs_emulator
def test_demo(work: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stq_deploy.zoo.shipped.DEFAULT_MODEL", str(work / "net.stq"))
    files = {kind: work / f"{kind}.npz" for kind in ("clean", "fgsm")}
    monkeypatch.setattr("stq_deploy.zoo.shipped.shipped_samples", lambda: files)
    monkeypatch.setattr("stq_deploy.zoo.shipped.robust_samples", lambda: {})
    done = invoke("demo", "--samples", "2", "--boards", "1", "--out", work / "demo", "--json")
    assert done.exit_code == 0, done.stderr
    found = json_of(done)
    assert found["samples"] == 4
    assert found["differing_layers"] == 0
    assert found["verified"]["executors"] == ["numpy", "host", "emulated"]
    assert [r["attack"] for r in found["results"]] == ["clean", "fgsm"]
    for result in found["results"]:
        assert (result["reference"], result["board"], result["board_reference_mismatches"]) == (0.0, 0.0, 0)
        assert result["all_samples"]["samples"] == COUNT
        assert result["all_samples"]["host"] == pytest.approx(4 / 6)
    assert found["results"][0]["all_samples"]["host_float_mismatches"] == 1
    assert {"flash_bytes", "ram_bytes", "stack_bytes", "instructions_per_inference"} <= set(found)
    assert {"name", "op", "macs", "instructions"} <= set(found["layers"][0])
    assert found["samples_per_second"] > 0
    assert Path(found["report"]).is_file()
    assert "robust" not in found
    # A second demo measures anew instead of repeating what it finds. A robust network then runs beside the first.
    monkeypatch.setattr("stq_deploy.zoo.shipped.ROBUST_MODEL", str(work / "net.stq"))
    monkeypatch.setattr("stq_deploy.zoo.shipped.robust_samples", lambda: {"clean": work / "fgsm.npz"})
    done = invoke("demo", "--samples", "2", "--boards", "1", "--out", work / "demo", "--json")
    again = json_of(done)
    assert again["samples_run"] == 4
    robust = again["robust"]
    assert (robust["samples"], robust["differing_layers"]) == (2, 0)
    assert robust["results"][0]["all_samples"] == found["results"][1]["all_samples"]
    assert (work / "demo" / "robust" / "report.html").is_file()
    assert done.stderr.count("Differing layers: 0") == 2


@needs_emulator
def test_verify_on_the_emulated_board(work: Path) -> None:
    done = invoke("verify", "--model", work / "net.stq", "--executors", "numpy,host,stm32h743", "--json")
    assert done.exit_code == 0, done.stderr
    found = json_of(done)
    assert (found["differing_layers"], found["executors"]) == (0, ["host", "stm32h743"])
    assert all(set(row["differing_samples"]) == {"host", "stm32h743"} for row in found["layers"])


def test_verify_names_what_differs(work: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first verification sample is the input's maximum everywhere: break it there."""
    top = np.full(network.input_type.shape, network.input_type.maximum)
    monkeypatch.setitem(open_executor._LOCAL, "host", lambda program, name: BrokenExecutor(program, 1, top, name=name))
    done = invoke("verify", "--model", work / "net.stq", "--executors", "numpy,host", "--json")
    (difference,) = json_of(done, exit_code=1)["differences"]
    assert (difference["executor"], difference["layer"], difference["sample"]) == ("host", 1, 0)
    assert "host differs first in layer 1" in done.stderr
    assert f"{difference['found']} instead of {difference['expected']}" in done.stderr


@pytest.mark.parametrize("executor", ["numpy", "host"])
def test_evaluate(work: Path, executor: str) -> None:
    done = invoke(
        "evaluate", "--model", work / "net.stq", "--samples", work / "fgsm.npz", "--executor", executor, "--json"
    )
    assert done.exit_code == 0, done.stderr
    found = json_of(done)
    assert (found["correct"], found["samples"], found["attack"]) == (4, COUNT, "fgsm")
    assert found["top1"] == pytest.approx(4 / 6)
    assert found["wilson95"] == pytest.approx([0.3000, 0.9032], abs=1e-4)


def test_evaluate_names_the_samples_that_a_board_errs_in(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import contextmanager

    class LyingBoard(NumpyExecutor):
        def run(self, levels: Any, progress: Any = None, counters: Any = None) -> Any:
            logits, *others = super().run(levels, progress, counters)
            logits.reshape(len(logits), -1)[[1, 4], -1] ^= 1
            return (logits, *others)

    @contextmanager
    def opened(name: str, program: Program) -> Any:
        yield LyingBoard(program)

    monkeypatch.setattr(open_executor, "open_executor", opened)
    done = invoke("evaluate", "--model", work / "net.stq", "--samples", work / "fgsm.npz", "--executor", "emulated")
    assert done.exit_code == 1 and "top-1" not in done.stdout
    assert "in 2 of 6 samples: samples 1, 4" in done.stderr


def test_evaluate_for_people(work: Path) -> None:
    done = invoke("evaluate", "--model", work / "net.stq", "--samples", work / "clean.npz", "--limit", "3")
    assert "clean.npz (clean), host: top-1 33.3 % [6.1, 79.2], 3 samples" in done.stdout


def _wrong_shape(work: Path) -> Path:
    save_samples(SampleSet(np.zeros((1, 3, 3, 7), np.uint8), np.zeros(1, np.int64)), work / "shape.npz")
    return work / "shape.npz"


def test_mistakes_are_explained(work: Path, tmp_path: Path) -> None:
    model = ["--model", work / "net.stq"]
    clean = ["--samples", work / "clean.npz"]
    cases: list[tuple[list[object], str]] = [
        (["run", *model, *clean], "give either --port PORT, or --emulated"),
        (["run", *model, *clean, "--emulated", "--port", "x"], "give either --port PORT, or --emulated"),
        (["run", *model, *clean, "--emulated", "--board", "stm32z9"], "there is no board 'stm32z9'"),
        (["run", *model, "--samples", tmp_path / "no.npz", "--emulated"], "there is no such file"),
        (["run", *model, "--samples", _wrong_shape(work), "--emulated", "--out", tmp_path / "o"], "the network takes"),
        (["run", "--model", tmp_path / "no.stq", *clean, "--emulated"], "there is no such model file"),
        (["run", "--model", "zoo:alexnet", *clean, "--emulated"], "no model 'zoo:alexnet' comes with"),
        (["evaluate", *model], "give either --dataset cifar10 or --samples"),
        (["evaluate", *model, *clean, "--dataset", "cifar10"], "give either --dataset"),
        (["evaluate", *model, *clean, "--executor", "float"], "holds no float model"),
        (["verify", *model, "--executors", "numpy,jlink"], "there is no 'jlink'"),
        (["verify", *model, "--executors", "numpy"], "two or more, each once"),
        (["verify", *model, "--executors", "numpy,numpy"], "two or more, each once"),
        (["demo", "--emulated", "--port", "x"], "give either --port PORT, or --emulated"),
        (["attack", "--model", "m.h5", "--attack", "fgsm", "-o", tmp_path / "f.npz"], "give either --dataset"),
        (["attack", "--model", "m.h5", "--attack", "fgsm", "--set", "pgd.eps=1", "-o", "f"], "names no setting"),
        (["attack", "--model", "m.h5", "--attack", "fgsm", "--eps", "x", "-o", "f"], "'x' is not a number"),
    ]  # fmt: skip
    for arguments, message in cases:
        result = invoke(*arguments)
        assert result.exit_code == 1, (arguments, result.output)
        assert message in result.stderr, (arguments, result.stderr)
        assert "Traceback" not in result.output
    assert not (tmp_path / "o").exists() or not any((tmp_path / "o").glob("results/*"))


@needs_emulator
@pytest.mark.usefixtures("built")
def test_an_absent_port(work: Path, tmp_path: Path) -> None:
    result = invoke(
        "run", "--model", work / "net.stq", "--samples", work / "clean.npz", "--port", tmp_path / "tty", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "no such serial port" in result.stderr


@needs_emulator
def test_a_build_in_the_output_folder_is_used_or_refused(work: Path, tmp_path: Path, built: dict[str, Any]) -> None:
    """What is in --out counts, as it is: it may be what was flashed."""
    folder = tmp_path / "build"
    shutil.copytree(work / "build" / "stm32h743", folder)
    arguments = [
        "run", "--model", work / "net.stq", "--samples", work / "clean.npz", "--emulated", "--boards", "1",
        "--limit", "1", "--out", folder, "--json",
    ]  # fmt: skip
    done = invoke(*arguments)
    assert done.exit_code == 0, done.stderr
    assert json_of(done)["build_id"] == built["build_id"]
    assert not (folder / "firmware").exists()
    for key, value, message in (
        ("model_hash", "0" * 64, "(000000000000), not of"),
        ("stack_bytes", "many", "the build cannot be read"),
    ):
        (folder / "build.json").write_text(json.dumps(built | {key: value}))
        refused = invoke(*arguments)
        assert refused.exit_code == 1
        assert message in refused.stderr
    (folder / "build.json").write_text(json.dumps(built))
    (folder / "firmware.elf").unlink()
    assert "the image is missing" in invoke(*arguments).stderr


def test_verification_samples_begin_with_the_extremes(network: Network) -> None:
    from stq_deploy.evaluation.verification_samples import verification_inputs

    levels = verification_inputs(network, None, 5).levels
    spec = network.input_type
    assert levels.shape == (5, *spec.shape)
    assert (levels[0] == spec.maximum).all() and (levels[1] == spec.minimum).all()
    assert spec.holds(levels)
    assert len({sample.tobytes() for sample in levels}) == 5
    assert random_levels(network, 2).shape[1:] == levels.shape[1:]
