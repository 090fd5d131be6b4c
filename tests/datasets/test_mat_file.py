"""MATLAB files as scipy writes them, and damaged in every way. scipy.io.loadmat does not survive all of these."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets import mat_file
from stq_deploy.datasets.mat_file import read_mat

scipy_io = pytest.importorskip("scipy.io")

ARRAYS = {
    "X": np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4),
    "y": np.array([[1.0, -2.5, 300.0]]),
    "i": np.array([[-7], [9]], np.int16),
    "w": np.array([[2**40]], np.int64),
    "f": np.array([[0.5]], np.float32),
    "none": np.zeros((0, 4)),
    "a_longer_name_than_4_bytes": np.array([[7]], np.uint8),
}


def _mat(path: Path, compressed: bool) -> bytes:
    scipy_io.savemat(path, ARRAYS, do_compression=compressed)
    return path.read_bytes()


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_out_as_they_went_in(tmp_path: Path, compressed: bool) -> None:
    _mat(tmp_path / "x.mat", compressed)
    found = read_mat(tmp_path / "x.mat", tuple(ARRAYS))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert read_mat(tmp_path / "x.mat", ("y", "z")).keys() == {"y"}


def test_whole_doubles_stored_as_bytes(tmp_path: Path) -> None:
    """As MATLAB itself stores them; scipy does not."""
    whole = _mat(tmp_path / "x.mat", False)[:128]
    flags = struct.pack("<4I", 6, 8, 6, 0)
    shape = struct.pack("<2I2i", 5, 8, 1, 3)
    name = struct.pack("<I4s", 1 << 16 | 1, b"y")
    values = struct.pack("<I4B", 3 << 16 | 2, 10, 20, 255, 0)
    matrix = flags + shape + name + values
    (tmp_path / "x.mat").write_bytes(whole + struct.pack("<2I", 14, len(matrix)) + matrix)
    assert read_mat(tmp_path / "x.mat", ("y",))["y"].tolist() == [[10.0, 20.0, 255.0]]


@pytest.mark.parametrize("content", [b"", b"junk" * 100, b"\x89HDF\r\n\x1a\n" + bytes(600), bytes(600)])
def test_what_is_no_matlab_5_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(StqError, match="cannot read the MATLAB file"):
        read_mat(tmp_path / "x.mat", ("X",))


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="cannot read the MATLAB file"):
        read_mat(tmp_path, ("X",))


@pytest.mark.parametrize("compressed", [True, False])
def test_truncations_and_flipped_bits_are_clear_errors_or_read(tmp_path: Path, compressed: bool) -> None:
    whole = _mat(tmp_path / "x.mat", compressed)
    path = tmp_path / "bad.mat"
    names = tuple(ARRAYS)
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        try:
            assert len(read_mat(path, names)) < len(ARRAYS) or length > len(whole) - 8
        except StqError:
            continue
    refused = 0
    for place in range(124, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            read_mat(path, names)
        except StqError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("size", [1 << 17, (1 << 31) - 1, -1])
def test_a_shape_that_is_not_the_contents_allocates_nothing(tmp_path: Path, size: int) -> None:
    whole = _mat(tmp_path / "x.mat", False)
    (tmp_path / "x.mat").write_bytes(whole.replace(struct.pack("<3i", 2, 3, 4), struct.pack("<3i", 2, 3, size)))
    with pytest.raises(StqError, match="not as long as its shape"):
        read_mat(tmp_path / "x.mat", ("X",))


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scipy_io.savemat(tmp_path / "x.mat", {"X": np.zeros((100, 100), np.uint8)}, do_compression=True)
    monkeypatch.setattr(mat_file, "MAXIMUM_ARRAY_BYTES", 1000)
    with pytest.raises(StqError, match="larger than allowed"):
        read_mat(tmp_path / "x.mat", ("X",))
    monkeypatch.setattr(mat_file, "MAXIMUM_FILE_BYTES", 100)
    with pytest.raises(StqError, match="more than 100 bytes"):
        read_mat(tmp_path / "x.mat", ("X",))
