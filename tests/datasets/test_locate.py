"""Where data are looked for, in which order, and what is said when they are not there."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import Dataset, dataset_names, load_dataset
from stq_deploy.datasets.locate import load
from stq_deploy.datasets.registry import SOURCES
from stq_deploy.datasets.source import DataSource, SourceForm
from tests.helpers.datasets.publisher import Publisher


def _dataset(paths: tuple[Path, ...]) -> Dataset:
    x = np.zeros((1, 1, 1, 1), np.uint8)
    return Dataset("pair", " ".join(map(str, paths)), ("a",), x, np.zeros(1, np.int64), x, np.zeros(1, np.int64))


@pytest.fixture(name="source")
def _source(publisher: Publisher, tmp_path: Path) -> DataSource:
    """A data set of two public files, which may also be had unpacked, or as one .npz."""
    names = ("a.gz", "b.gz")
    public = tuple(publisher.publish(name, name.encode()) for name in names)
    public = (dataclasses.replace(public[0], repacked=(hashlib.sha256(b"a unpacked").hexdigest(),)), public[1])
    forms = (SourceForm(names, _dataset), SourceForm(("a", "b"), _dataset))
    installed = (tmp_path / "installed",)
    return DataSource("pair", "Pair", ("c",), ("pair.npz",), forms, public, installed, "ask your librarian")


def _put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name.endswith(".npz"):
            x, y = np.zeros((1, 1, 1), np.uint8), np.zeros(1, int)
            np.savez(folder / name, x_train=x, y_train=y, x_test=x, y_test=y)
        else:
            (folder / name).write_bytes(name.encode())
    return folder


def test_each_place_comes_before_the_next(
    source: DataSource, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> str:
        return load(source, None).source

    assert found() == f"{cache / 'pair' / 'a.gz'} {cache / 'pair' / 'b.gz'}"
    installed = _put(tmp_path / "installed", "a.gz", "b.gz")
    assert found() == f"{installed / 'a.gz'} {installed / 'b.gz'}"
    variable = _put(tmp_path / "variable", "a")
    monkeypatch.setenv("STQ_DEPLOY_DATA", str(variable))
    assert found() == f"{installed / 'a.gz'} {installed / 'b.gz'}"  # one file of two is nothing
    _put(variable, "b")
    assert found() == f"{variable / 'a'} {variable / 'b'}"
    own = _put(variable / "pair", "a.gz", "b.gz")
    assert found() == f"{own / 'a.gz'} {own / 'b.gz'}"
    _put(variable, "pair.npz")
    assert found() == str(variable / "pair.npz")
    monkeypatch.setenv("STQ_DEPLOY_DATA", str(own / "b.gz"))
    assert found() == f"{own / 'a.gz'} {own / 'b.gz'}"
    named = _put(tmp_path / "named", "a.gz", "b.gz")
    assert load(source, named).source == f"{named / 'a.gz'} {named / 'b.gz'}"


def test_a_file_stands_for_those_beside_it(source: DataSource, tmp_path: Path) -> None:
    folder = _put(tmp_path / "named", "a.gz", "b.gz", "mine.npz", "b", "notes.txt", "README")
    assert load(source, folder / "b.gz").source == f"{folder / 'a.gz'} {folder / 'b.gz'}"
    mine = load(source, folder / "mine.npz")
    assert (mine.name, mine.source, mine.class_names) == ("pair", str(folder / "mine.npz"), ("c",))
    with pytest.raises(StqError, match="a must lie beside it"):
        load(source, folder / "b")
    for foreign in ("notes.txt", "README"):
        with pytest.raises(StqError, match="this is not a file of Pair"):
            load(source, folder / foreign)


def test_what_is_named_is_not_replaced_by_something_else(
    source: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StqError, match="no such data file"):
        load(source, tmp_path / "absent")
    with pytest.raises(StqError, match="no Pair in the folder") as caught:
        load(source, _put(tmp_path / "empty"))
    assert "pair.npz; or a.gz with b.gz; or a with b" in str(caught.value)
    monkeypatch.setenv("STQ_DEPLOY_DATA", str(tmp_path / "absent"))
    with pytest.raises(StqError, match="no such data file"):
        load(source, None)


def test_offline_the_error_says_what_to_put_where(source: DataSource, publisher: Publisher) -> None:
    publisher.files.clear()
    with pytest.raises(StqError, match="cannot fetch") as caught:
        load(source, None)
    for part in (f"{publisher.address}/a.gz (4 bytes) as a.gz", "as b.gz", "--data", "STQ_DEPLOY_DATA", "librarian"):
        assert part in str(caught.value)


def test_without_a_public_file_the_error_says_where_it_looked(
    source: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = dataclasses.replace(source, public=(), installed=())
    with pytest.raises(StqError, match="no Pair on this computer") as caught:
        load(private, None)
    assert "no folder, as none is named" in str(caught.value)
    monkeypatch.setenv("STQ_DEPLOY_DATA", str(_put(tmp_path / "variable")))
    with pytest.raises(StqError, match="librarian") as caught:
        load(private, None)
    assert str(tmp_path / "variable") in str(caught.value)


def test_other_content_than_the_published_is_told(
    source: DataSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    load(source, _put(tmp_path / "true", "a.gz", "b.gz"))
    assert caplog.text == ""
    other = _put(tmp_path / "other", "a", "b")
    (other / "a").write_bytes(b"a unpacked")
    load(source, other)
    assert "is not the published file" in caplog.text
    assert str(other / "b") in caplog.text
    assert str(other / "a") + " " not in caplog.text


@pytest.mark.parametrize("name", dataset_names())
def test_every_data_set_says_where_it_comes_from(name: str, tmp_path: Path) -> None:
    source = SOURCES[name]
    for file in source.public:
        assert file.address.startswith(("http://", "https://")) and file.address.endswith(file.name)
        assert all(len(bytes.fromhex(digest)) == 32 for digest in (file.sha256, *file.repacked))
    if source.public:
        assert tuple(file.name for file in source.public) in [form.files for form in source.forms]
    with pytest.raises(StqError, match="in the folder") as caught:
        load_dataset(name, tmp_path)
    assert "What to do" in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(StqError, match="unknown data set 'mnist'") as caught:
        load_dataset("mnist")
    assert "fashion-mnist" in str(caught.value)
