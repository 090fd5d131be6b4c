"""MATLAB 5 files: their plain arrays of numbers, and nothing else (cells, structures, objects, functions).

Format: "MAT-File Format", MathWorks, chapter 1. scipy.io.loadmat would read more, but a flipped bit in a file can end
the process (seen with scipy 1.17). This reader checks every length before it uses it.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stq_deploy.common.errors import StqError

MAXIMUM_FILE_BYTES = 1 << 30
MAXIMUM_ARRAY_BYTES = 1 << 30
_HEADER = struct.Struct("<116s8xH2s")
_VERSION, _LITTLE_ENDIAN = 0x0100, b"IM"
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_COMPLEX = 0x0800

# Types of an element's values; and the classes of arrays that hold only numbers.
_TYPES = {
    1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8",
}  # fmt: skip
_CLASSES = {
    6: "<f8", 7: "<f4", 8: "<i1", 9: "<u1", 10: "<i2", 11: "<u2", 12: "<i4", 13: "<u4", 14: "<i8", 15: "<u8",
}  # fmt: skip


def read_mat(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The real numeric arrays named `names` in the file, in their own shapes; absent ones are left out.

    Raises StqError: unreadable, damaged, too large, or not MATLAB's format 5 in little-endian order.
    """
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise ValueError(f"it has more than {MAXIMUM_FILE_BYTES} bytes")
        content = memoryview(path.read_bytes())
        if len(content) < _HEADER.size or _HEADER.unpack_from(content)[1:] != (_VERSION, _LITTLE_ENDIAN):
            raise ValueError("it does not begin as a MATLAB 5 file does")
        found: dict[str, NDArray[Any]] = {}
        for kind, element in _elements(content[_HEADER.size :]):
            for name, array in _arrays(kind, element, names):
                found[name] = array
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise StqError(
            "cannot read the MATLAB file",
            where=str(path),
            cause=f"it is damaged, or another file under that name: {error}",
            next="fetch it again",
        ) from error
    return found


def _elements(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and content of consecutive elements."""
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from("<II", content, at)
        start = at + 8
        if kind >> 16:  # up to 4 bytes are packed into the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError("a small element has more than 4 bytes")
        if size > len(content) - start:
            raise ValueError("it ends within an element")
        yield kind, content[start : start + size]
        at = at + 8 if start == at + 4 else start + size
        if kind != _COMPRESSED:
            at += -at % 8


def _arrays(kind: int, element: memoryview, names: tuple[str, ...]) -> Iterator[tuple[str, NDArray[Any]]]:
    if kind == _COMPRESSED:
        # The unpacked size of a small file is bounded; the rest of the array's description is small.
        stream = zlib.decompressobj()
        unpacked = stream.decompress(element, MAXIMUM_ARRAY_BYTES)
        if not stream.eof:
            raise ValueError("an array is truncated, or larger than allowed")
        for inner_kind, inner in _elements(memoryview(unpacked)):
            if inner_kind == _MATRIX:
                yield from _array(inner, names)
    elif kind == _MATRIX:
        yield from _array(element, names)


def _array(element: memoryview, names: tuple[str, ...]) -> Iterator[tuple[str, NDArray[Any]]]:
    """An array: its flags and class, its dimensions, its name, its values (real part)."""
    parts = _elements(element)
    flags = _part(parts, _UINT32, 8)
    shape = struct.unpack(f"<{len(dimensions) // 4}i", dimensions) if (dimensions := _part(parts, _INT32)) else ()
    name = bytes(_part(parts, _INT8)).decode("ascii", "replace")
    (word,) = struct.unpack_from("<I", flags)
    if name not in names or word & _COMPLEX or word & 0xFF not in _CLASSES:
        return
    kind, values = next(parts, (0, memoryview(b"")))
    if kind not in _TYPES:
        raise ValueError(f"the values of {name} are of type {kind}")
    stored = np.frombuffer(values, _TYPES[kind]) if len(values) % np.dtype(_TYPES[kind]).itemsize == 0 else None
    if stored is None or any(size < 0 for size in shape) or math.prod(shape) != len(stored):
        raise ValueError(f"{name} is not as long as its shape {shape} says")
    # Whole numbers of a class may be stored in a smaller type.
    yield name, stored.astype(_CLASSES[word & 0xFF], copy=False).reshape(shape, order="F")


def _part(parts: Iterator[tuple[int, memoryview]], kind: int, size: int | None = None) -> memoryview:
    found, content = next(parts, (0, memoryview(b"")))
    if found != kind or (size is not None and len(content) != size) or (kind == _INT32 and len(content) % 4):
        raise ValueError("an array's description is malformed")
    return content
