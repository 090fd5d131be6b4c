"""Damaged and hostile model files: each one clear error, and nothing read from outside the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import list_layers, model_file, parse_model
from tests.helpers.model_files import random, tiny_model


def assert_refused(path: Path, what: str) -> None:
    with pytest.raises(StqError) as caught:
        parse_model(path)
    assert what in caught.value.what
    assert str(path) in caught.value.where
    assert caught.value.next
    assert "Traceback" not in str(caught.value)


@pytest.fixture
def h5(tmp_path: Path) -> Path:
    return tiny_model().save_h5(tmp_path / "model.h5")


@pytest.fixture
def keras(tmp_path: Path) -> Path:
    return tiny_model().save_keras(tmp_path / "model.keras")


def test_both_forms_give_the_same_model(h5: Path, keras: Path) -> None:
    a, b = parse_model(h5), parse_model(keras)
    assert [type(node) for node in a.nodes] == [type(node) for node in b.nodes]
    assert a.table == b.table
    assert a.kernels.keys() == b.kernels.keys()
    for at in a.kernels:
        assert np.array_equal(a.kernels[at].values, b.kernels[at].values)
    assert (a.file["format"], b.file["format"]) == ("h5", "keras")
    assert a.file["name"] == "model.h5"


@pytest.mark.parametrize(
    ("form", "name"), [("keras", "m.h5"), ("keras", "M.H5"), ("keras", "m.hdf5"), ("h5", "m.keras")]
)
def test_name_and_content_must_agree(form: str, name: str, tmp_path: Path) -> None:
    """Programs go by one or the other, and a file may be both."""
    path = getattr(tiny_model(), f"save_{form}")(tmp_path / f"model.{form}")
    assert_refused(path.rename(tmp_path / name), "its name is that of")


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_any_other_name_says_nothing(form: str, tmp_path: Path) -> None:
    path = getattr(tiny_model(), f"save_{form}")(tmp_path / f"model.{form}")
    assert parse_model(path.rename(tmp_path / "model.v2")).file["format"] == form


@pytest.mark.parametrize("form", ["h5", "keras"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated(form: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"model.{form}"
    tiny_model().save_h5(path) if form == "h5" else tiny_model().save_keras(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(StqError) as caught:
        parse_model(path)
    assert ("not a usable QKeras model file" if share else "an empty file") in caught.value.what


def test_flipped_bytes_never_escape_as_other_errors(h5: Path) -> None:
    content = bytearray(h5.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(8, len(content), 60):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        h5.write_bytes(damaged)
        try:
            parse_model(h5)
        except StqError as error:
            assert error.next  # most flips hit weights and go through


def test_absent_folder_and_foreign_files(tmp_path: Path) -> None:
    assert_refused(tmp_path / "absent.h5", "there is no such file")
    assert_refused(tmp_path, "it is a folder")
    text = tmp_path / "text.h5"
    text.write_text("hello")
    assert_refused(text, "none of the formats that are read")


def test_devices_and_pipes_are_not_opened(tmp_path: Path) -> None:
    """A pipe would wait for a writer, and /dev/zero fills any memory."""
    pipe = tmp_path / "pipe.h5"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        assert_refused(path, "a device or a pipe")


def test_a_file_name_that_is_no_text_is_written_with_escapes(tmp_path: Path) -> None:
    """Python keeps a name's stray bytes as half characters, which no JSON of ours may hold."""
    path = tiny_model().save_h5(tmp_path / "m.h5")
    odd = path.rename(tmp_path / os.fsdecode(b"m\xff\xc3\xa9.h5"))
    assert model_file.open_model_file(odd).facts.name == "m\\xff\u00e9.h5"


@pytest.mark.parametrize("where", ["model", "layer", "setting"])
@pytest.mark.parametrize("form", ["h5", "keras"])
def test_half_a_character_in_a_name(form: str, where: str, tmp_path: Path) -> None:
    draft = tiny_model()
    if where == "model":
        draft.name = "a\ud800"
    else:
        draft.settings("fc")["name" if where == "layer" else "kernel_quantizer"] = "\udcff"
    assert_refused(getattr(draft, f"save_{form}")(tmp_path / f"m.{form}"), "half a character, U+D")


def test_size_limit(h5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "MAXIMUM_FILE_BYTES", 100)
    assert_refused(h5, "more than the 100 bytes allowed")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
        ("{}", "lists no layers"),
        (json.dumps({"class_name": "Functional", "config": {"layers": []}}), "0 layers"),
        (json.dumps({"class_name": "Functional", "config": {"layers": [7]}}), "not an object"),
        (json.dumps({"class_name": "MyModel", "config": {"layers": [{}]}}), "not a Sequential or Functional"),
    ],
)
def test_bad_configuration(text: str, what: str, tmp_path: Path) -> None:
    assert_refused(tiny_model().save_h5(tmp_path / "m.h5", text), what)


def test_no_configuration(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["x"] = 1
    assert_refused(tmp_path / "weights.h5", "without a model's configuration")


def _with_kernel(array: object, tmp_path: Path) -> Path:
    draft = tiny_model()
    draft.arrays["conv"]["kernel"] = array  # type: ignore[assignment]
    return draft.save_h5(tmp_path / "m.h5")


def test_weights_of_wrong_shape_type_or_value(tmp_path: Path) -> None:
    good = random(3, 3, 2, 4)
    assert_refused(
        _with_kernel(good[:2], tmp_path),
        "array 'kernel' of layer 'conv' has shape (2, 3, 2, 4), the configuration asks for (3, 3, 2, 4)",
    )
    assert_refused(_with_kernel(good.astype(np.float64), tmp_path), "is stored as float64, not as float32")
    assert_refused(_with_kernel(good.astype(">f4"), tmp_path), "is stored as >f4, not as float32")
    for form in ("save_h5", "save_keras"):
        for bad in (np.nan, np.inf):
            draft = tiny_model()
            draft.arrays["conv"]["kernel"][1, 1, 1, 1] = bad
            with pytest.raises(StqError) as caught:
                parse_model(getattr(draft, form)(tmp_path / "m"))
            assert caught.value.what == "array 'kernel' holds NaN or infinite values"
            assert "layer 'conv'" in caught.value.where
            assert "diverged" in caught.value.cause


def test_missing_and_surplus_arrays(tmp_path: Path) -> None:
    for form in ("save_h5", "save_keras"):
        draft = tiny_model()
        draft.arrays["conv"]["bias"] = random(4)
        assert_refused(getattr(draft, form)(tmp_path / "m"), "stores")
        draft = tiny_model()
        draft.arrays["bn"].pop("gamma")
        assert_refused(getattr(draft, form)(tmp_path / "m"), "stores")


def test_listing_goes_on_after_a_problem(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.entry("bn")["class_name"] = "LayerNormalization"
    name, facts, rows = list_layers(draft.save_h5(tmp_path / "m.h5"))
    assert name == "draft"
    assert facts.form == "h5"
    by_name = {row.name: row for row in rows}
    assert by_name["conv"].problem == ""
    assert by_name["conv"].macs == 6 * 5 * 72
    assert "not supported" in by_name["bn"].problem
    assert "an earlier layer" in by_name["softmax"].problem
