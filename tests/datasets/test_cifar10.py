"""CIFAR-10 from each of its sources, on tiny stand-ins made here."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import cifar10 as cifar10_module
from stq_deploy.datasets import load_dataset, safe_pickle
from stq_deploy.datasets.dataset import as_input
from stq_deploy.datasets.gray import rgb_to_gray


def _python_2_pickle(value: Any) -> bytes:
    """As the official files are: protocol 2, numpy under its old module name."""
    return pickle.dumps(value, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def _archive(path: Path, batches: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _batches(per_batch: int = 3) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    data = {name: rng.integers(0, 256, (per_batch, 3072), dtype=np.uint8) for name in names}
    content = {
        name: _python_2_pickle({b"data": value, b"labels": [1, 9, 0][:per_batch], b"batch_label": b"x"})
        for name, value in data.items()
    }
    return content, data


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return _archive(tmp_path / "cifar-10-python.tar.gz", _batches()[0])


def test_archive_as_gray_bytes(archive: Path) -> None:
    dataset = load_dataset("cifar10", archive)
    _, data = _batches()
    assert dataset.x_train.shape == (15, 32, 32, 1)
    assert dataset.x_test.shape == (3, 32, 32, 1)
    assert dataset.y_train.tolist() == [1, 9, 0] * 5
    assert dataset.class_names[9] == "truck"
    # Pixel (row 2, column 5) of the second test picture, from the planes by hand.
    red, green, blue = (int(data["test_batch"][1, plane * 1024 + 2 * 32 + 5]) for plane in range(3))
    assert dataset.x_test[1, 2, 5, 0] == round(0.299 * red + 0.587 * green + 0.114 * blue)


def test_gray_ends_and_weights() -> None:
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    assert rgb_to_gray(colours).tolist() == [0, 255, 76, 150, 29]


def test_folder_variable_and_npz(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_dataset("cifar10", tmp_path).source == str(archive)
    npz = tmp_path / "cifar10_gray.npz"
    whole = load_dataset("cifar10", archive)
    np.savez(
        npz,
        x_train=whole.x_train[..., 0],
        y_train=whole.y_train.astype(np.uint8),
        x_test=whole.x_test,
        y_test=whole.y_test,
    )
    monkeypatch.setenv("STQ_DEPLOY_DATA", str(tmp_path))
    again = load_dataset("cifar10")
    assert again.source == str(npz)
    assert again.x_train.dtype == np.uint8
    np.testing.assert_array_equal(again.x_train, whole.x_train)
    np.testing.assert_array_equal(again.y_train, whole.y_train)
    assert again.class_names == cifar10_module.CLASSES


def test_input_is_in_unit_range() -> None:
    levels = as_input(np.array([0, 51, 255], np.uint8))
    assert levels.dtype == np.float32
    np.testing.assert_allclose(levels, [0, 0.2, 1])
    np.testing.assert_array_equal(as_input(np.array([-3.5], np.float32)), [-3.5])


_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
_FORGED = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\n_FLAGStb."
"""A dtype whose state comes with the pickle."""


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(_Evil(), protocol=2),
        b"cnumpy\ndtype\n(S'O'\ntR.",  # an array of objects
        b"c_codecs\nencode\n(S'x'\nS'zlib'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nndarray\n((I2\ntS'O'\ntR.",  # numpy.ndarray itself called: an array of objects
        b"\x80\x02cnumpy\nndarray\n(K\x02tU\x01O\x86\x81.",  # and by __new__
        b"cnumpy\nndarray\n.",
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR.",  # a type, not an array
        _FORGED.replace(b"_FLAGS", b"I63\n"),  # a type of numbers whose flags say that it holds objects
        _FORGED.replace(b"NNN", b"(S'a'\nt(dN"),  # one with fields
        _RECONSTRUCT + b"(I1\n(I3\nt" + _FORGED[:-1].replace(b"_FLAGS", b"I0\n") + b"I00\nS'12345678'\ntb.",
        _RECONSTRUCT + b"(I1\n(I1\ntS'O'\nI00\n(lp0\nI1\natb.",
        b"\x80\x02junk",
        b"",
    ],
)
def test_pickles_that_are_more_than_data_are_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError):
        safe_pickle.loads(content)
    batches, _ = _batches()
    path = _archive(tmp_path / "bad.tar.gz", {**batches, "test_batch": content})
    with pytest.raises(StqError, match="cannot read the CIFAR-10 archive"):
        load_dataset("cifar10", path)
    assert not (tmp_path / "pwned").exists()


def test_damaged_and_foreign_files_are_explained(archive: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(archive.read_bytes()[:-300])
    missing = _archive(tmp_path / "missing.tar.gz", {"data_batch_1": b"x"})
    small = _batches()[0]
    small["data_batch_3"] = _python_2_pickle({b"data": np.zeros((3, 10), np.uint8), b"labels": [0, 1, 2]})
    wrong_shape = _archive(tmp_path / "shape.tar.gz", small)
    large = _batches()[0] | {"test_batch": bytes((64 << 20) + 1)}
    bomb = _archive(tmp_path / "bomb.tar.gz", large)
    for path in (broken, missing, wrong_shape, bomb):
        with pytest.raises(StqError, match="cannot read the CIFAR-10 archive"):
            load_dataset("cifar10", path)
    with pytest.raises(StqError, match="no such data file"):
        load_dataset("cifar10", tmp_path / "absent.tar.gz")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StqError, match="no CIFAR-10 in the folder"):
        load_dataset("cifar10", empty)
