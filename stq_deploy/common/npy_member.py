"""Arrays from untrusted ZIP archives of .npy members (.npz, .stq): bounded, streamed, never evaluated.

NumPy's own reader parses a header as Python, and allocates the claimed size before it reads. Here a header must have
the one form that NumPy writes (`numpy.lib.format`, versions 1.0 and 2.0). Its claim is compared with the archive's, and
values are read in pieces into their place.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.regular_file import open_regular

_MAGIC = b"\x93NUMPY"
_LENGTHS = {b"\x01\x00": 2, b"\x02\x00": 4}
"""Version -> bytes of the header's length."""
_LONGEST_HEADER = 4096
_MAXIMUM_AXES = 32
_PIECE = 1 << 20  # bytes
_ITEM = re.compile(
    r"\s*'(?P<key>descr|fortran_order|shape)':\s*(?:'(?P<descr>[<>|=][a-zA-Z]\d{0,9})'|(?P<order>True|False)"
    r"|\((?P<shape>[\d\sL,]*)\))\s*,?"
)
_SIZE = re.compile(r"\s*(\d{1,19})L?\s*")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KINDS = {"descr": "descr", "fortran_order": "order", "shape": "shape"}


@dataclass(frozen=True)
class ArrayHeader:
    """The claims of an array's header.

    Attributes:
        dtype: numbers, bytes or text; never objects.
        columns_first: whether the first axis varies fastest ("Fortran order").
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    columns_first: bool

    @property
    def elements(self) -> int:
        """Number of values, exact however large."""
        return math.prod(self.shape)


def array_header(archive: zipfile.ZipFile, name: str, limit: int) -> ArrayHeader:
    """The header of member `name`; its values are not read.

    Raises:
        ValueError: the member is absent, not an array of numbers or text, of more than `limit` bytes, or of another
            length than it claims. Exceptions of zipfile and zlib pass through.
    """
    with _opened(archive, name) as member:
        return _header(archive, name, member, limit)


def read_array(
    archive: zipfile.ZipFile, name: str, limit: int, dtype: type[np.generic] | None = None
) -> npt.NDArray[Any]:
    """The array in member `name`, in the shape that its header states.

    Args:
        limit: most bytes of its values in the archive.
        dtype: type to which its numbers are converted while reading; None: unchanged.

    Raises:
        ValueError: as `array_header`; or it is damaged.
    """
    with _opened(archive, name) as member:
        header = _header(archive, name, member, limit)
        if header.dtype.itemsize == 0:  # of empty texts
            return np.zeros(header.shape, header.dtype)
        values = np.empty(header.elements, header.dtype if dtype is None else dtype)
        step = max(_PIECE // header.dtype.itemsize, 1)
        for start in range(0, len(values), step):
            part = values[start : start + step]
            piece = member.read(len(part) * header.dtype.itemsize)
            if len(piece) != len(part) * header.dtype.itemsize:
                raise ValueError(f"{name} ends before its last value")
            with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond float32 become infinite
                part[:] = np.frombuffer(piece, header.dtype)
        if member.read(1):
            raise ValueError(f"{name} goes on after its last value")
    return values.reshape(header.shape, order="F" if header.columns_first else "C")


def read_arrays(path: str | os.PathLike[str], limit: int) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an .npz file by name, in its order, in the shapes that their headers state.

    Args:
        limit: most bytes of each.

    Raises:
        OSError: the file cannot be read. StqError: it is a device or a pipe.
        ValueError: it is not an .npz file, damaged, or holds something else than arrays of numbers and texts.
    """
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {name.removesuffix(".npy"): read_array(archive, name, limit) for name in archive.namelist()}
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"it is not a usable .npz file ({error})") from error


def _opened(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        method = archive.getinfo(name).compress_type
    except KeyError as error:
        raise ValueError(f"{name} is missing") from error
    if method not in _METHODS:  # others allocate as much memory as the archive asks for
        raise ValueError(f"{name} is packed in a way that NumPy does not use")
    return archive.open(name)


def _header(archive: zipfile.ZipFile, name: str, member: IO[bytes], limit: int) -> ArrayHeader:
    start = member.read(len(_MAGIC) + 2)
    width = _LENGTHS.get(start[len(_MAGIC) :])
    if not start.startswith(_MAGIC) or width is None:
        raise ValueError(f"{name} is not an .npy array of version 1.0 or 2.0")
    size = int.from_bytes(member.read(width), "little")
    if size > _LONGEST_HEADER:
        raise ValueError(f"{name} has a header of {size} bytes")
    text = member.read(size)
    header = _parsed(text.decode("latin-1"), name)
    claimed = header.elements * header.dtype.itemsize
    # The archive's directory is a claim as well; reading stops at the array's length in any case.
    if archive.getinfo(name).file_size != len(start) + width + size + claimed:
        raise ValueError(f"{name} is not as long as its shape {header.shape} says")
    if claimed > limit:
        raise ValueError(f"{name} is larger than the {limit} bytes allowed")
    return header


def _parsed(text: str, name: str) -> ArrayHeader:
    found: dict[str, str] = {}
    body = text.strip()
    position, end = 1, len(body) - 1
    while position < end and (item := _ITEM.match(body, position, end)):
        key = item["key"]
        value = item[_KINDS[key]]
        if value is None or key in found:
            break
        found[key] = value
        position = item.end()
    whole = position >= end or not body[position:end].strip()
    if not (body.startswith("{") and body.endswith("}") and whole and found.keys() == _KINDS.keys()):
        raise ValueError(f"{name} has a header that is none of an array of numbers or text")
    try:
        dtype = np.dtype(found["descr"])
    except TypeError as error:
        raise ValueError(f"{name} holds values of the unknown type {found['descr']}") from error
    if dtype.hasobject or dtype.kind not in "biufSU":
        raise ValueError(f"{name} holds {dtype}, not numbers or text")
    sizes = [_SIZE.fullmatch(size) for size in found["shape"].split(",") if size.strip()]
    shape = tuple(int(size[1]) for size in sizes if size is not None)
    if len(shape) != len(sizes) or len(shape) > _MAXIMUM_AXES:
        raise ValueError(f"{name} has an impossible shape")
    return ArrayHeader(dtype, shape, found["fortran_order"] == "True")
