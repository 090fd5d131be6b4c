"""SVHN's cropped digits: MATLAB files made here, fit and unfit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import load_dataset
from stq_deploy.datasets.gray import pictures_to_gray
from stq_deploy.datasets.registry import SOURCES
from stq_deploy.datasets.svhn import SVHN
from tests.helpers.datasets.publisher import Publisher

scipy_io = pytest.importorskip("scipy.io")
scipy_sparse = pytest.importorskip("scipy.sparse")


def _arrays(count: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
    return {"X": x, "y": (np.arange(count) % 10 + 1).astype(np.uint8)[:, np.newaxis]}


def _mat(path: Path, count: int = 3, *, compressed: bool = True, **changes: Any) -> Path:
    arrays = {name: value for name, value in (_arrays(count) | changes).items() if value is not None}
    scipy_io.savemat(path, arrays, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_pictures_labels_and_the_ten_that_is_zero(tmp_path: Path, compressed: bool) -> None:
    _mat(tmp_path / "train_32x32.mat", 12, compressed=compressed)
    _mat(tmp_path / "test_32x32.mat", 2, compressed=compressed)
    dataset = load_dataset("svhn", tmp_path)
    assert (dataset.x_train.shape, dataset.x_test.shape) == ((12, 32, 32, 1), (2, 32, 32, 1))
    assert dataset.y_train.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    assert dataset.class_names == tuple("0123456789")
    red, green, blue = (int(value) for value in _arrays(12)["X"][4, 7, :, 9])  # row 4, column 7 of picture 9
    assert dataset.x_train[9, 4, 7, 0] == round(0.299 * red + 0.587 * green + 0.114 * blue)


def test_the_public_files_are_fetched(tmp_path: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("train_32x32.mat", "test_32x32.mat")
    public = tuple(publisher.publish(name, _mat(tmp_path / name).read_bytes()) for name in names)
    monkeypatch.setitem(SOURCES, "svhn", dataclasses.replace(SVHN, public=public))
    assert load_dataset("svhn").y_test.tolist() == [1, 2, 3]
    assert publisher.asked == ["/train_32x32.mat", "/test_32x32.mat"]


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The pictures and digits of one file."""
    (path.parent / "other").mkdir(exist_ok=True)
    folder = path.parent / "other"
    _mat(folder / "test_32x32.mat", 1)
    (folder / "train_32x32.mat").write_bytes(path.read_bytes())
    dataset = load_dataset("svhn", folder)
    return dataset.x_train, dataset.y_train


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": None}, "no array of numbers called X"),
        ({"X": None, "y": None}, "called X and y"),
        ({"X": np.zeros((32, 32, 3), np.uint8)}, "X has shape"),
        ({"X": np.zeros((3, 32, 32, 3), np.uint8)}, "X has shape"),
        ({"X": np.zeros((32, 32, 3, 3))}, "type float64"),
        ({"X": np.zeros((32, 32, 3, 3), np.int8)}, "type int8"),
        ({"X": np.array([{"a": 1}], object)}, "called X"),
        ({"X": "a text"}, "called X"),
        ({"y": {"a": 1}}, "called y"),
        ({"y": np.array([1j, 2, 3])}, "called y"),
        ({"y": np.array([[1], [2]], np.uint8)}, "for each of 3 pictures"),
        ({"y": np.array([[1], [2], [11]], np.uint8)}, "label from 1 to 10"),
        ({"y": np.array([[1], [0], [3]], np.uint8)}, "label from 1 to 10"),
        ({"y": np.array([[1], [1.5], [3]])}, "label from 1 to 10"),
        ({"y": np.array([[1], [np.nan], [3]])}, "label from 1 to 10"),
    ],
)
def test_content_of_another_data_set(tmp_path: Path, changes: dict[str, Any], message: str, compressed: bool) -> None:
    with pytest.raises(StqError, match=message) as caught:
        _load(_mat(tmp_path / "x.mat", compressed=compressed, **changes))
    assert "train_32x32.mat" in str(caught.value)


def test_labels_may_be_doubles_in_a_row(tmp_path: Path) -> None:
    _, y = _load(_mat(tmp_path / "x.mat", y=np.array([[10.0, 1.0, 2.0]])))
    assert (y.tolist(), y.dtype) == ([0, 1, 2], np.int64)


def test_other_variables_are_passed_over(tmp_path: Path) -> None:
    further = {"cell": np.array([{"a": "b"}], object), "text": "abc", "sparse": scipy_sparse.eye_array(3)}
    assert len(_load(_mat(tmp_path / "x.mat", **further))[1]) == 3


def test_gray_in_pieces_is_gray_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
    whole = pictures_to_gray(rgb)
    assert whole.shape == (7, 4, 5, 1)
    monkeypatch.setattr("stq_deploy.datasets.gray._AT_A_TIME", 3)
    np.testing.assert_array_equal(pictures_to_gray(rgb), whole)
