"""The reader of .npy members: what NumPy writes comes back, and nothing else costs time, memory or a traceback."""

from __future__ import annotations

import io
import itertools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.common.npy_member import array_header, read_array, read_arrays

LIMIT = 1 << 20


def _archive(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipFile:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", content, method)
    return zipfile.ZipFile(stream)


def _npy(array: np.ndarray[Any, Any], version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version, allow_pickle=True)
    return stream.getvalue()


def _with_header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin-1") + data


def _header(descr: str = "'<f4'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


SHAPES = ((), (0,), (1,), (3,), (2, 3), (4, 0, 2), (2, 3, 4, 5), (1,) * 32)
TYPES = ("u1", "i1", "<i2", ">i4", "<u8", "<f2", "<f4", ">f8", "?")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize(("shape", "kind"), list(itertools.product(SHAPES, TYPES)))
def test_what_numpy_writes_comes_back(shape: tuple[int, ...], kind: str, version: tuple[int, int]) -> None:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(kind)
    for made in (array, np.asfortranarray(array)):
        archive = _archive(_npy(made, version))
        found = read_array(archive, "a.npy", LIMIT)
        assert found.dtype == made.dtype
        assert found.shape == made.shape == array_header(archive, "a.npy", LIMIT).shape
        assert np.array_equal(found, made)


@pytest.mark.parametrize("text", ["", "a", "names of classes, ä 名"])
def test_texts(text: str) -> None:
    for array in (np.array(text), np.array([text, "b"]), np.array(text.encode())):
        assert np.array_equal(read_array(_archive(_npy(array)), "a.npy", LIMIT), array)


def test_numbers_are_converted_piece_by_piece() -> None:
    array = np.random.default_rng(1).normal(size=(300_001, 1))
    found = read_array(_archive(_npy(array)), "a.npy", 1 << 23, np.float32)
    assert np.array_equal(found, array.astype(np.float32))
    assert np.isinf(read_array(_archive(_npy(np.array([1e300]))), "a.npy", LIMIT, np.float32)).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an .npy array"),
        (b"\x93NUMPY", "not an .npy array"),
        (b"\x93NUMPY\x03\x00\x00\x00\x00\x00", "version"),
        (_with_header("("), "none of an array"),
        (_with_header("(" * 4000), "none of an array"),
        (_with_header("[" * 2000 + "]" * 2000), "none of an array"),
        (_with_header("{" * 4000), "none of an array"),
        (_with_header(" " * 5000), "header of 5000 bytes"),
        (_with_header("9" * 4000), "none of an array"),
        (_with_header("__import__('os').system('x')"), "none of an array"),
        (_with_header("{'descr': '<f4', 'shape': (2,)}", b"\0" * 8), "none of an array"),
        (_with_header(_header(order="0"), b"\0" * 8), "none of an array"),
        (_with_header(_header() + "x", b"\0" * 8), "none of an array"),
        (_with_header(_header(shape="[2]"), b"\0" * 8), "none of an array"),
        (_with_header(_header(shape="(-1,)"), b"\0" * 8), "none of an array"),
        (_with_header(_header(shape="(2 2,)"), b"\0" * 8), "impossible shape"),
        (_with_header(_header(shape=f"({'1,' * 33})"), b"\0" * 4), "impossible shape"),
        (_with_header(_header(descr="[('a', '<f4')]"), b"\0" * 8), "none of an array"),
        (_with_header(_header(descr="'<f3'"), b"\0" * 8), "unknown type"),
        (_with_header(_header(descr="'|O'"), b"\0" * 16), "object, not numbers"),
        (_with_header(_header(descr="'<c8'"), b"\0" * 16), "complex64, not numbers"),
        (_with_header(_header(descr="'|V8'"), b"\0" * 16), "not numbers"),
        (_with_header(_header(), b"\0" * 7), "not as long"),
        (_with_header(_header(), b"\0" * 9), "not as long"),
        (_with_header(_header(shape="(100000000000,)"), b"\0" * 8), "not as long"),
        (_with_header(_header(shape="(" + "9" * 19 + ",9999)"), b"\0" * 8), "not as long"),
        (_with_header(_header(descr="'|S999999999'", shape="()"), b"\0" * 8), "not as long"),
        (_npy(np.zeros(1 << 18)), "larger than the 1048576 bytes allowed"),
        (_npy(np.array([{}], object)), "object, not numbers"),
    ],
)
def test_everything_else_is_refused(content: bytes, said: str) -> None:
    for read in (array_header, read_array):
        with pytest.raises(ValueError, match=said):
            read(_archive(content), "a.npy", LIMIT)


def test_whole_files(tmp_path: Path) -> None:
    made = {"b": np.arange(6).reshape(2, 3), "a": np.array("text"), "c": np.array(7, np.int64)}
    np.savez(tmp_path / "f.npz", **made)
    found = read_arrays(tmp_path / "f.npz", LIMIT)
    assert list(found) == list(made)
    assert all(np.array_equal(found[name], array) for name, array in made.items())
    whole = (tmp_path / "f.npz").read_bytes()
    for length in range(0, len(whole), 13):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"usable|not as long|missing|ends before"):
            read_arrays(tmp_path / "cut.npz", LIMIT)
    (tmp_path / "bad.npz").write_bytes(whole.replace(b"'descr'", b"(((((('"))
    with pytest.raises(ValueError, match=r"none of an array|usable"):
        read_arrays(tmp_path / "bad.npz", LIMIT)
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none.npz", LIMIT)
    with pytest.raises(StqError, match="a device or a pipe"):
        read_arrays("/dev/zero", LIMIT)


def test_absent_and_packed_otherwise() -> None:
    with pytest.raises(ValueError, match="is missing"):
        read_array(_archive(_npy(np.zeros(2))), "b.npy", LIMIT)
    with pytest.raises(ValueError, match="packed in a way"):
        read_array(_archive(_npy(np.zeros(2)), zipfile.ZIP_LZMA), "a.npy", LIMIT)
