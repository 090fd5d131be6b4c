"""What is checked is what is loaded, of files that are two things at once and of files that change meanwhile."""

from __future__ import annotations

import io
import json
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet, save_samples
from tests.helpers.command_line import invoke, json_of
from tests.helpers.frontend.polyglots import hdf5_first, zip_first
from tests.helpers.keras_reference import load_with_keras
from tests.helpers.model_files import random, tiny_model

pytestmark = pytest.mark.keras

MODULE = "stq_test_payload"


@pytest.fixture(name="marker")
def _marker(tmp_path: Path) -> Path:
    """What a payload leaves behind if it runs."""
    return tmp_path / "it-ran"


def _hostile_h5(path: Path, marker: Path) -> bytes:
    """A Keras model that touches `marker` when Keras builds it."""
    import tf_keras

    text = str(marker)
    called = tf_keras.layers.Lambda(lambda x: (__import__("pathlib").Path(text).touch(), x)[1])
    inputs = tf_keras.Input((6, 5, 2))
    tf_keras.Model(inputs, tf_keras.layers.Flatten()(called(inputs))).save(path)
    marker.unlink()
    return path.read_bytes()


def _hostile_keras(folder: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A .keras archive whose model is of a module that touches `marker` when it is imported."""
    (folder / f"{MODULE}.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(MODULE, None)
    content = tiny_model().save_keras(folder / "plain.keras").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = {"module": MODULE, "class_name": "Payload", "registered_name": None, "config": {}}
    members |= {"config.json": json.dumps(config).encode(), "metadata.json": b"{}"}
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return into.getvalue()


@pytest.fixture(name="zip_named_h5")
def _zip_named_h5(tmp_path: Path, marker: Path) -> Path:
    """A harmless .keras archive, in whose first member an HDF5 reader finds a model with a Lambda."""
    harmless = tiny_model().save_keras(tmp_path / "harmless.keras").read_bytes()
    path = tmp_path / "model.h5"
    path.write_bytes(zip_first(harmless, _hostile_h5(tmp_path / "hostile.h5", marker)))
    return path


@pytest.fixture(name="hdf5_named_keras")
def _hdf5_named_keras(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A harmless HDF5 file, at whose end a ZIP reader finds a model with a class of a foreign module."""
    harmless = tiny_model().save_h5(tmp_path / "harmless.h5").read_bytes()
    path = tmp_path / "model.keras"
    path.write_bytes(hdf5_first(harmless, _hostile_keras(tmp_path, marker, monkeypatch)))
    return path


@pytest.fixture(name="polyglot", params=["zip_named_h5", "hdf5_named_keras"])
def _polyglot(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_the_payloads_are_alive(polyglot: Path, marker: Path) -> None:
    """Keras runs them, whatever it says afterwards: the tests that follow would notice."""
    with suppress(TypeError):
        load_with_keras(polyglot)
    assert marker.exists()


def _entries() -> dict[str, Callable[[Path], Any]]:
    """Every function that takes a model file from a user."""
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.frontend import check_model, list_layers, parse_model, read_source
    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.pipeline import convert_model, load_any
    from stq_deploy.pipeline.model_in_memory import convert_keras_model
    from stq_deploy.research.training.source_model import read_model

    return {
        "check": check_model,
        "parse": parse_model,
        "list": list_layers,
        "source": read_source,
        "convert": convert_model,
        "any": load_any,
        "keras": read_keras_model,
        "float": FloatModel,
        "hls4ml": lambda path: convert_keras_model(str(path)),
        "training": lambda path: read_model(str(path)),
    }


def test_every_function_refuses_a_polyglot(polyglot: Path, marker: Path) -> None:
    for entry in _entries().values():
        with pytest.raises(StqError, match="its name is that of"):
            entry(polyglot)
    assert not marker.exists()


def test_every_command_refuses_a_polyglot(polyglot: Path, marker: Path, tmp_path: Path) -> None:
    pixels, labels = np.zeros((16, 6, 5, 2), np.uint8), np.zeros(16, np.int64)
    save_samples(SampleSet(pixels, labels), tmp_path / "in.npz")
    samples = ("--samples", tmp_path / "in.npz")
    data = tmp_path / "cifar10_gray.npz"
    pictures = np.zeros((16, 8, 8), np.uint8)
    np.savez(data, x_train=pictures, y_train=labels, x_test=pictures, y_test=labels)
    training = ("train", "--dataset", "cifar10", "--data", data, "--recipe", "smoke", "--set", "validation_samples=0")
    for command in (
        ["inspect", polyglot],
        ["convert", polyglot, "-o", tmp_path / "n.stq"],
        ["build", "--model", polyglot, "--out", tmp_path / "b"],
        ["evaluate", "--model", polyglot, "--executor", "float", *samples],
        ["attack", "--model", polyglot, "--attack", "fgsm", "-o", tmp_path / "a.npz", *samples],
        ["run", "--model", polyglot, "--emulated", "--out", tmp_path / "o", *samples],
        ["verify", "--model", polyglot, "--executors", "numpy,host", *samples],
        [*training, "--warm-start", polyglot, "--out", tmp_path / "t"],
        [*training, "--teacher", polyglot, "--set", "distillation=0.5", "--out", tmp_path / "u"],
    ):
        result = invoke(*command)
        assert result.exit_code == 1, command
        assert "its name is that of" in result.stderr, (command, result.stderr)
        assert not marker.exists(), command


def test_named_as_it_begins_a_polyglot_is_what_was_checked(polyglot: Path, marker: Path, tmp_path: Path) -> None:
    """The other model in it is never looked at; the harmless one is read."""
    from stq_deploy.evaluation.float_model import FloatModel

    renamed = polyglot.rename(tmp_path / ("right.keras" if polyglot.suffix == ".h5" else "right.h5"))
    model = FloatModel(renamed)
    kernel = model.keras.get_layer("fc").weights[0].numpy()
    assert np.array_equal(kernel, random(24, 3, seed=3))
    assert model.network is not None
    assert not marker.exists()


# Files that change meanwhile


def _with_kernel(seed: int, path: Path) -> Path:
    draft = tiny_model()
    draft.arrays["fc"]["kernel"] = random(24, 3, seed=seed)
    return draft.save_h5(path)


def test_the_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of a float model afterwards."""
    from stq_deploy.evaluation.float_model import FloatModel

    path, opened = _with_kernel(1, tmp_path / "m.h5"), []
    sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" and args[0] == str(path) else None)
    model = FloatModel(str(path))
    path.unlink()
    assert model.network is not None
    assert model.input_format
    assert model.model_hash
    assert len(opened) == 1


def test_a_file_swapped_after_the_check_is_not_loaded(tmp_path: Path, marker: Path) -> None:
    from stq_deploy.frontend import check_model
    from stq_deploy.frontend.keras_model import build_keras_model

    path = _with_kernel(1, tmp_path / "m.h5")
    checked = check_model(path)
    path.write_bytes(_hostile_h5(tmp_path / "hostile.h5", marker))
    model = build_keras_model(checked, str(path))
    assert np.array_equal(model.get_layer("fc").weights[0].numpy(), random(24, 3, seed=1))
    assert not marker.exists()


def test_a_file_swapped_again_and_again_is_one_of_the_two(tmp_path: Path) -> None:
    """A thread replaces the file all the time: hash, network and Keras's weights are always of one reading."""
    from stq_deploy.evaluation.float_model import FloatModel

    kinds = {}
    for seed in (1, 2):
        reference = FloatModel(_with_kernel(seed, tmp_path / f"{seed}.h5"))
        kinds[reference.file_sha256] = (seed, reference.model_hash)
    path, done = tmp_path / "m.h5", threading.Event()
    contents = [(tmp_path / f"{seed}.h5").read_bytes() for seed in (1, 2)]
    path.write_bytes(contents[0])

    def swap() -> None:
        number = 0
        while not done.is_set():
            number += 1
            (tmp_path / "next").write_bytes(contents[number % 2])
            (tmp_path / "next").replace(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(6):
            model = FloatModel(path)
            seed, model_hash = kinds[model.file_sha256]
            assert np.array_equal(model.keras.get_layer("fc").weights[0].numpy(), random(24, 3, seed=seed))
            assert model.model_hash == model_hash
    finally:
        done.set()
        thread.join()


class _Swap:
    """Replaces a file as soon as it has been opened: at the next opening of any file."""

    def __init__(self) -> None:
        self.path, self.other, self.opened = "", Path(), 0
        sys.addaudithook(self._hook)  # for good, so it does nothing unless armed

    def arm(self, path: Path, other: Path) -> None:
        self.path, self.other, self.opened = str(path), other, 0

    def disarm(self) -> None:
        self.path = ""

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self.path:
            return
        if self.opened and self.other.exists():
            self.other.replace(self.path)
        self.opened += str(arguments[0]) == self.path


@pytest.fixture(name="swap", scope="module")
def _swap() -> _Swap:
    return _Swap()


@pytest.mark.parametrize(
    "command",
    [
        "verify --model M --executors numpy,host --samples S --json",
        "evaluate --model M --executor numpy --samples S --json",
        "evaluate --model M --executor float --samples S --json",
        "certify M --family mirror --samples S --executor numpy --json",
        "attack --model M --attack none --samples S -o A --json",
        "convert M -o N --json",
    ],
)
def test_what_a_command_says_is_of_one_reading(command: str, swap: _Swap, marker: Path, tmp_path: Path) -> None:
    """The file becomes a hostile one in the middle of it, which changes nothing."""
    from stq_deploy.pipeline import load_any

    path = _with_kernel(1, tmp_path / "m.h5")
    expected = load_any(path).sha256()
    (tmp_path / "hostile.h5").write_bytes(_hostile_h5(tmp_path / "made.h5", marker))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 5, 2)).astype(np.uint8)
    save_samples(SampleSet(pixels, np.zeros(8, np.int64)), tmp_path / "in.npz")
    names = {"M": path, "S": tmp_path / "in.npz", "A": tmp_path / "a.npz", "N": tmp_path / "n.stq"}
    swap.arm(path, tmp_path / "hostile.h5")
    try:
        result = invoke(*(names.get(word, word) for word in command.split()))
    finally:
        swap.disarm()
    assert result.exit_code == 0, result.stderr
    assert swap.opened == 1
    assert not (tmp_path / "hostile.h5").exists()
    assert not marker.exists()
    found = json_of(result)
    assert found["model_hash"] == expected
    assert not command.startswith("verify") or found["float"]["differing_activations"] == 0


def test_a_run_computes_its_float_column_of_the_same_reading(swap: _Swap, marker: Path, tmp_path: Path) -> None:
    """`run` loads the float model last, when the board has answered."""
    from stq_deploy.cli.run import _float_answers
    from stq_deploy.evaluation.task import scoring_of
    from stq_deploy.pipeline import load_any, open_source

    path = _with_kernel(1, tmp_path / "m.h5")
    (tmp_path / "hostile.h5").write_bytes(_hostile_h5(tmp_path / "made.h5", marker))
    swap.arm(path, tmp_path / "hostile.h5")
    try:
        source = open_source(path)
        network = load_any(source)
        answers = _float_answers(source)
        assert answers is not None
        values = np.random.default_rng(0).random((4, 6, 5, 2)).astype(np.float32)
        found = answers(scoring_of(network, None, None), values)
    finally:
        swap.disarm()
    assert not (tmp_path / "hostile.h5").exists()
    assert not marker.exists()
    wanted = load_with_keras(_with_kernel(1, tmp_path / "again.h5")).predict(values, verbose=0)
    assert np.array_equal(found, wanted.argmax(1))


def test_a_robustness_run_notices_another_file(tmp_path: Path) -> None:
    """Its processes read the file one after the other: shards of two models must not be counted together."""
    from stq_deploy.evaluation.robustness.presets import load_preset
    from stq_deploy.evaluation.robustness.record import attacked_job
    from stq_deploy.evaluation.robustness.run import run

    path = _with_kernel(1, tmp_path / "m.h5")
    samples = SampleSet(np.zeros((2, 6, 5, 2), np.uint8), np.zeros(2, np.int64))
    job = attacked_job(path, load_preset("quick"), samples, 0, tmp_path / "out")
    _with_kernel(2, path)
    with pytest.raises(StqError, match="has changed since the run began"):
        run(job)
