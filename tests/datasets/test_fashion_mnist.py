"""Fashion-MNIST and its IDX files: small ones made here, and Debian's where they are installed."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import idx_file, load_dataset
from stq_deploy.datasets.checksum import sha256
from stq_deploy.datasets.fashion_mnist import FASHION_MNIST, FILES
from stq_deploy.datasets.idx_file import read_idx
from tests.helpers.datasets.idx_files import idx

(DEBIAN,) = FASHION_MNIST.installed
NAMES = tuple(file.name for file in FILES)


def _contents() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        NAMES[0]: rng.integers(0, 256, (5, 28, 28)),
        NAMES[1]: np.array([9, 0, 3, 3, 1]),
        NAMES[2]: rng.integers(0, 256, (2, 28, 28)),
        NAMES[3]: np.array([4, 7]),
    }


def _write(folder: Path, contents: dict[str, np.ndarray], packed: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in contents.items():
        path = folder / (name if packed else name.removesuffix(".gz"))
        path.write_bytes(gzip.compress(idx(array), 1) if packed else idx(array))
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_pictures_stay_28_by_28(tmp_path: Path, packed: bool) -> None:
    contents = _contents()
    dataset = load_dataset("fashion-mnist", _write(tmp_path / "data", contents, packed))
    assert (dataset.x_train.shape, dataset.x_train.dtype) == ((5, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(dataset.x_test[..., 0], contents[NAMES[2]])
    assert dataset.y_train.tolist() == [9, 0, 3, 3, 1]
    assert [dataset.class_names[y] for y in dataset.y_test] == ["Coat", "Sneaker"]
    assert dataset.feature_range is None


def test_a_plain_file_under_a_packed_name_is_read(tmp_path: Path) -> None:
    folder = _write(tmp_path / "data", _contents())
    (folder / NAMES[1]).write_bytes(gzip.decompress((folder / NAMES[1]).read_bytes()))
    assert load_dataset("fashion-mnist", folder).y_train.tolist() == [9, 0, 3, 3, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (NAMES[1], np.arange(4), "one label each"),
        (NAMES[0], np.zeros((5, 28, 27)), "28x28"),
        (NAMES[2], np.zeros((2, 784)), "28x28"),
        (NAMES[3], np.array([4, 10]), "labels of the test part"),
        (NAMES[3], np.zeros((2, 1)), "one label each"),
    ],
)
def test_content_of_another_data_set(tmp_path: Path, name: str, content: np.ndarray, message: str) -> None:
    with pytest.raises(StqError, match=message):
        load_dataset("fashion-mnist", _write(tmp_path / "data", _contents() | {name: content}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"<html>", "not an IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file"),  # of floats
        (b"\0\0\x08\xff" + bytes(100), "within its header"),
        (struct.pack(">HBBI", 0, 8, 1, 6) + bytes(5), "5 values, but its shape"),
        (struct.pack(">HBBI", 0, 8, 1, 4) + bytes(5), "5 values, but its shape"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(5), "5 values"),
        (b"\x1f\x8bjunk", "cannot read"),
        (gzip.compress(b"", mtime=0)[:-4] + b"1234", "cannot read"),
    ],
)
def test_what_is_no_idx_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(StqError, match=message):
        read_idx(tmp_path / "x.gz")


def test_every_truncation_is_a_clear_error(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 256, (3, 5))
    for whole in (idx(array), gzip.compress(idx(array))):
        (tmp_path / "x").write_bytes(whole)
        np.testing.assert_array_equal(read_idx(tmp_path / "x"), array)
        for length in range(len(whole)):
            (tmp_path / "x").write_bytes(whole[:length])
            with pytest.raises(StqError):
                read_idx(tmp_path / "x")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx_file, "MAXIMUM_BYTES", 1000)
    (tmp_path / "x.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(StqError, match="more than 1000 bytes"):
        read_idx(tmp_path / "x.gz")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_debians_files_are_found_and_are_the_published_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = load_dataset("fashion-mnist")
    assert caplog.text == ""  # the digests of the repacked files are known
    assert (dataset.x_train.shape, dataset.x_test.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert np.bincount(dataset.y_train).tolist() == [6000] * 10
    for file in FILES:
        packed = (DEBIAN / file.name).read_bytes()
        (tmp_path / "content").write_bytes(gzip.decompress(packed))
        assert sha256(tmp_path / "content") == file.repacked[1]
        # The published stream has name and date (31 August 2017) in its header, and is else the same.
        date = 1504176606 if file.name.startswith("train") else 1504176627
        name = file.name.removesuffix(".gz").encode() + b"\0"
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", date) + packed[8:10] + name
        (tmp_path / "published").write_bytes(header + packed[10:])
        assert sha256(tmp_path / "published") == file.sha256
        assert (tmp_path / "published").stat().st_size == file.size
