"""Files that are not models are named for what they are, in every command."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import MODEL_ENDINGS, FileKind, file_kind
from stq_deploy.frontend import list_layers
from stq_deploy.frontend.formats.registry import endings
from stq_deploy.network import load_network, save_network
from tests.helpers.command_line import invoke
from tests.helpers.model_files import tiny_model
from tests.helpers.networks import random_network


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return content.getvalue()


def weights_file() -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers/dense/vars/0"] = np.zeros(3, np.float32)
    return content.getvalue()


FILES = {
    "ONNX": ("m.keras", b"\x08\x0a:\x83\x0b\x0a\x13"),
    "PyTorch": ("m.pt", zipped("archive/data.pkl", "archive/data/0", "archive/version")),
    "PyTorch ": ("m.pth", zipped("net/.format_version", "net/data.pkl")),
    "pickle": ("m.pkl", b"\x80\x04\x95" + bytes(40)),
    "TensorFlow graph": ("frozen.pb", b"\x0a\x2a\x0a\x01x\x12\x0bPlaceholder*\x0b"),
    "SavedModel": ("saved_model.pb", b"\x08\x01\x12\xd3\x8a\x01"),
    "checkpoint": ("model.ckpt.index", bytes(60)),
    "weights alone": ("m.weights.h5", weights_file()),
    "without weights": ("m.json", json.dumps({"class_name": "Sequential", "config": {"layers": []}}).encode()),
    "JSON": ("m.json", b'\n [{"a": 1}]'),
    "NumPy": ("m.npz", zipped("x.npy", "y.npy")),
    "NumPy ": ("m.npy", b"\x93NUMPY\x01\x00" + bytes(40)),
    "ExecuTorch": ("m.pte", b"\x20\x00\x00\x00ET12" + bytes(40)),
    "safetensors": ("m.safetensors", b"\x40" + bytes(7) + b'{"a":'),
    "Core ML": ("m.mlmodel", b"\x09\x08" + bytes(40)),
    "web page": ("m.h5", b"<!DOCTYPE html><html>not found</html>"),
    "Git LFS": ("m.h5", b"version https://git-lfs.github.com/spec/v1\noid sha256:00"),
    "compressed": ("m.h5.gz", b"\x1f\x8b\x08" + bytes(40)),
    "ZIP archive": ("all.zip", zipped("readme.txt", "model.h5")),
    "empty": ("m.h5", b""),
    "ELF": ("firmware.elf", b"\x7fELF\x01\x01" + bytes(40)),
    "text": ("notes.txt", b"hello"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_model(what: str, tmp_path: Path) -> None:
    name, content = FILES[what]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(StqError) as refused:
        list_layers(path)
    error = refused.value
    assert what.strip() in f"{error.what} {error.cause}"
    assert error.where == str(path) and error.next
    assert "damaged" not in str(error)
    assert path.read_bytes() == content


FOLDERS = {
    "SavedModel": ["saved_model.pb", "variables/variables.index", "keras_metadata.pb"],
    "unpacked .keras": ["config.json", "metadata.json", "model.weights.h5"],
    "build": ["build.json", "network/network.c"],
    "TensorFlow.js": ["model.json", "group1-shard1of1.bin"],
    "checkpoint": ["checkpoint", "model.ckpt.index"],
    "mine.h5": ["mine.h5", "notes.txt"],
    "net.onnx": ["net.onnx", "notes.txt"],
    "net.tflite": ["net.tflite"],
    "a folder": [],
}


@pytest.mark.parametrize("what", FOLDERS)
@pytest.mark.parametrize("ending", ["", ".stq", ".keras"])
def test_a_folder_is_no_model(what: str, ending: str, tmp_path: Path) -> None:
    folder = tmp_path / f"given{ending}"
    folder.mkdir()
    for name in FOLDERS[what]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\x08\x01\x12")
    for command in (["inspect", folder], ["convert", folder, "-o", tmp_path / "x.stq"]):
        result = invoke(*command)
        assert result.exit_code == 1
        assert what in result.stderr and "a folder" in result.stderr
        assert "no such" not in result.stderr
    assert not (tmp_path / "x.stq").exists()


def test_an_error_names_every_format_that_is_read() -> None:
    assert endings() == MODEL_ENDINGS
    said = FileKind("", "a poem", "give a model").error().what
    assert all(ending in said for ending in (*endings(), ".stq"))


def test_a_network_where_keras_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "net.stq"
    save_network(random_network(1), path)
    with pytest.raises(StqError, match="it is a converted network") as refused:
        list_layers(path)
    assert "it was made from" in refused.value.next


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_a_keras_model_where_a_network_is_needed(form: str, tmp_path: Path) -> None:
    draft, path = tiny_model(), tmp_path / "net.stq"
    draft.save_h5(path) if form == "h5" else draft.save_keras(path)
    with pytest.raises(StqError) as refused:
        load_network(path)
    assert f".{form}" in refused.value.what and "convert it" in refused.value.next


@pytest.mark.parametrize("what", ["ExecuTorch", "pickle", "empty"])
def test_other_files_where_a_network_is_needed(what: str, tmp_path: Path) -> None:
    path = tmp_path / "net.stq"
    path.write_bytes(FILES[what][1])
    with pytest.raises(StqError, match=what):
        load_network(path)


def test_a_tflite_file_where_a_network_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "net.stq"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(40))
    with pytest.raises(StqError, match="it is a TensorFlow Lite model") as refused:
        load_network(path)
    assert "convert it" in refused.value.next


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("m.tflite", "damaged"),
        ("m.h5", "its name is that of an HDF5 file, its content that of a TensorFlow Lite model"),
    ],
)
def test_a_damaged_or_renamed_tflite_file(name: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x20\x00\x00\x00TFL3" + bytes(40))
    with pytest.raises(StqError, match=said) as refused:
        list_layers(path)
    assert refused.value.where == str(path) and refused.value.next


def test_what_is_read_is_not_refused(tmp_path: Path) -> None:
    draft = tiny_model()
    for name, form in (("m.h5", "h5"), ("m.keras", "keras")):
        path = draft.save_h5(tmp_path / name) if form == "h5" else draft.save_keras(tmp_path / name)
        kind = file_kind(path.read_bytes(), name)
        assert kind is not None and kind.form == form
        assert list_layers(path)[0] == "draft"


@pytest.mark.parametrize("seed", range(200))
def test_any_bytes_have_an_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = rng.bytes(int(rng.integers(0, 64)))
    beginning = list(FILES.values())[seed % len(FILES)][1][: int(rng.integers(0, 12))]
    file_kind(beginning + content, "m.bin")
