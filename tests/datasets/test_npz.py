"""Data sets in one .npz: both forms, and what is wrong with others."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import load_dataset
from stq_deploy.datasets.npz import load_npz


def _npz(path: Path, **changes: Any) -> Path:
    arrays = {
        "x_train": np.zeros((4, 8, 8), np.uint8),
        "y_train": np.arange(4),
        "x_test": np.zeros((2, 8, 8), np.uint8),
        "y_test": np.arange(2),
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "y_test missing"),
        ({"y_train": np.array([0, 1, 2, 10])}, "labels of the train part"),
        ({"y_train": np.array([0.0, 1, 2, 3])}, "whole numbers"),
        ({"x_test": np.zeros((3, 8, 8), np.uint8)}, "not of one length"),
        ({"class_names": np.array(["a", "b\ud800", "c"])}, "half a character"),
        ({"x_train": np.array([{"a": 1}] * 4, object)}, "cannot read"),
    ],
)
def test_bad_npz_files_are_explained(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StqError, match=message):
        load_dataset("cifar10", _npz(tmp_path / "data.npz", **changes))


def test_junk_npz(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"PK junk")
    with pytest.raises(StqError, match="cannot read the data file"):
        load_dataset("cifar10", tmp_path / "data.npz")


def _whole(path: Path, **changes: Any) -> Path:
    arrays = {
        "x": np.arange(6 * 4, dtype=np.float16).reshape(6, 2, 2) - 9,
        "y": np.array([0, 1, 2, 0, 1, 2], np.uint8),
        "split": np.array([2, 0, 1, 0, 2, 1], np.uint8),
        "words": np.array(["a", "b", "c"]),
        "name": np.array([b"1.wav"] * 6),
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_whole_and_split(tmp_path: Path) -> None:
    dataset = load_npz(_whole(tmp_path / "data.npz"), "mine")
    assert dataset.class_names == ("a", "b", "c")
    assert dataset.y_train.tolist() == [1, 2, 0, 2]
    assert dataset.y_test.tolist() == [0, 1]
    assert dataset.x_train.dtype == np.float32
    assert dataset.x_test[1].ravel().tolist() == [7, 8, 9, 10]
    assert dataset.validation is not None and dataset.y_train[dataset.validation].tolist() == [2, 2]
    assert dataset.feature_range == (-9, 14)


def test_no_validation_samples_and_no_class_names(tmp_path: Path) -> None:
    split = np.array([2, 0, 0, 0, 2, 0])
    dataset = load_npz(_whole(tmp_path / "data.npz", split=split, words=None), "mine")
    assert dataset.validation is None
    assert dataset.class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": None}, "y missing"),
        ({"split": np.zeros(5, int)}, "not of one length"),
        ({"x": np.float32(1)}, "not of one length"),
        ({"split": np.zeros(6)}, "whole numbers"),
        ({"x": np.full((6, 2, 2), np.nan)}, "NaN"),
        ({"x": np.zeros((6, 2))}, "malformed"),
        ({"y": np.array([{}] * 6, object)}, "cannot read"),
    ],
)
def test_unfit_whole_files(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StqError, match=message):
        load_npz(_whole(tmp_path / "data.npz", **changes), "mine", ("a", "b", "c"))


def test_a_claimed_size_allocates_nothing(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 45, 2, 2)})
    path = _npz(tmp_path / "data.npz", x_train=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", header.getvalue() + bytes(64))
    with pytest.raises(StqError, match="not as long as its shape"):
        load_npz(path, "mine")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stq_deploy.datasets.npz.MAXIMUM_MEMBER_BYTES", 1000)
    with pytest.raises(StqError, match="larger than the 1000 bytes"):
        load_npz(_npz(tmp_path / "data.npz", x_train=np.zeros((4, 100, 100), np.uint8)), "mine")


def test_training_and_test_samples_of_other_shapes(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="training samples of mine have shape"):
        load_npz(_npz(tmp_path / "data.npz", x_test=np.zeros((2, 8, 9), np.uint8)), "mine")


def test_every_truncation_is_a_clear_error(tmp_path: Path) -> None:
    whole = _npz(tmp_path / "data.npz").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(StqError):
            load_npz(tmp_path / "cut.npz", "mine")
