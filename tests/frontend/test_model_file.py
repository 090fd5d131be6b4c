"""Damaged and hostile model files: each one clear error, and nothing read from outside the file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from model_files import ModelDraft, random, tiny_model

from stq_deploy.errors import StqError
from stq_deploy.frontend import list_layers, model_file, parse_model


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


def test_the_form_is_told_by_content_not_by_name(keras: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.h5"
    renamed.write_bytes(keras.read_bytes())
    assert parse_model(renamed).file["format"] == "keras"


@pytest.mark.parametrize("form", ["h5", "keras"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated(form: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"model.{form}"
    tiny_model().save_h5(path) if form == "h5" else tiny_model().save_keras(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(StqError) as caught:
        parse_model(path)
    assert "not a usable QKeras model file" in caught.value.what


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
    assert_refused(tmp_path, "cannot read the file")
    text = tmp_path / "text.h5"
    text.write_text("hello")
    assert_refused(text, "neither an HDF5 file nor a .keras archive")


def test_size_limit(h5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "MAXIMUM_FILE_BYTES", 100)
    assert_refused(h5, "more than the 100 allowed")


def test_zip_bomb_is_not_unpacked(keras: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "MAXIMUM_CONFIG_BYTES", 1 << 16)
    with zipfile.ZipFile(keras, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", " " * (64 << 20))
    assert keras.stat().st_size < 1 << 20
    assert_refused(keras, "config.json unpacks to more than")


def test_member_paths_lead_nowhere(keras: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(keras, "a") as archive:
        archive.writestr("../escaped.txt", "x")
        archive.writestr("/absolute.txt", "x")
    before = set(tmp_path.rglob("*"))
    parse_model(keras)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_missing_member(keras: Path, member: str) -> None:
    with zipfile.ZipFile(keras) as archive:
        others = {n: archive.read(n) for n in archive.namelist() if n != member}
    with zipfile.ZipFile(keras, "w") as archive:
        for name, content in others.items():
            archive.writestr(name, content)
    assert_refused(keras, "zip:")


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
    assert_refused(tmp_path / "weights.h5", "'model_config' is missing")


def _with_kernel(array: object, tmp_path: Path) -> Path:
    draft = tiny_model()
    draft.arrays["conv"]["kernel"] = array  # type: ignore[assignment]
    return draft.save_h5(tmp_path / "m.h5")


def test_weights_of_wrong_shape_type_or_value(tmp_path: Path) -> None:
    good = random(3, 3, 2, 4)
    assert_refused(_with_kernel(good[:2], tmp_path), "has shape (2, 3, 2, 4), the configuration asks for (3, 3, 2, 4)")
    assert_refused(_with_kernel(good.astype(np.float64), tmp_path), "not as float32")
    for bad in (np.nan, np.inf):
        damaged = good.copy()
        damaged[1, 1, 1, 1] = bad
        assert_refused(_with_kernel(damaged, tmp_path), "NaN or infinite")


def test_missing_and_surplus_arrays(tmp_path: Path) -> None:
    for form in ("save_h5", "save_keras"):
        draft = tiny_model()
        draft.arrays["conv"]["bias"] = random(4)
        assert_refused(getattr(draft, form)(tmp_path / "m"), "stores")
        draft = tiny_model()
        draft.arrays["bn"].pop("gamma")
        assert_refused(getattr(draft, form)(tmp_path / "m"), "stores")


def test_links_out_of_the_file_are_not_followed(h5: Path, tmp_path: Path) -> None:
    other = (
        ModelDraft(arrays={"secret": {"kernel": random(3, 3, 2, 4)}}).add("InputLayer", "x").save_h5(tmp_path / "o.h5")
    )
    for link in (
        h5py.ExternalLink(str(other), "/model_weights/secret/secret/kernel:0"),
        h5py.SoftLink("/model_weights/fc"),
    ):
        with h5py.File(h5, "a") as file:
            group = file["model_weights/conv/conv"]
            del group["kernel:0"]
            group["kernel:0"] = link
        assert_refused(h5, "missing, or a link")


def test_arrays_stored_in_other_files_are_not_read(h5: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw.bin"
    raw.write_bytes(random(3, 3, 2, 4).tobytes())
    with h5py.File(h5, "a") as file:
        group = file["model_weights/conv/conv"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (3, 3, 2, 4), "f4", external=[(str(raw), 0, 288)])
    assert_refused(h5, "stored outside the file")


def test_huge_array_is_refused_before_it_is_read(h5: Path, tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("fc")["units"] = 1 << 16
    draft.settings("image")["batch_input_shape"] = [None, 600, 500, 2]
    assert_refused(draft.save_h5(tmp_path / "m.h5"), "its weights have the shapes")
    with h5py.File(h5, "a") as file:  # a sparse, chunked data set of 16 GiB in a small file
        group = file["model_weights/fc/fc"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (1 << 16, 1 << 16), "f4", chunks=(64, 64), compression="gzip")
    assert_refused(h5, "has shape (65536, 65536)")


def test_listing_goes_on_after_a_problem(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.entry("bn")["class_name"] = "LayerNormalization"
    name, facts, rows = list_layers(draft.save_h5(tmp_path / "m.h5"))
    assert name == "draft"
    assert facts["format"] == "h5"
    by_name = {row.name: row for row in rows}
    assert by_name["conv"].problem == ""
    assert by_name["conv"].macs == 6 * 5 * 72
    assert "not supported" in by_name["bn"].problem
    assert "an earlier layer" in by_name["softmax"].problem
