"""A .keras archive that is small and whose bytes are reproducible.

The archive stays one that Keras opens: a zip of `config.json`, `metadata.json` and `model.weights.h5`. Its members are
compressed by LZMA, which a zip may use (APPNOTE 6.3.10, section 5.8). That takes less than deflated arrays do in an
.h5 file, because neighbours are alike in the order in which the numbers lie.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stq_deploy.research.training.compact_h5 import Layout, copy_hdf5, new_file

WEIGHTS = "model.weights.h5"
_MEMBERS = ("config.json", "metadata.json", WEIGHTS)
_VOLATILE = "date_saved"
"""Entry of the metadata that differs each time, and that Keras does not read."""
_DICTIONARY = 1 << 24
"""Bytes that LZMA looks back: more than the arrays of a layer, and no more memory than the reader allows."""
_MODELS = ((3, 0, 2), (0, 2, 2), (0, 0, 0))
"""LZMA's numbers of literal context bits, literal position bits and position bits: for text, for float32 numbers of few
values, for shuffled bytes."""
_ENDS_BY_MARKER = 0x0002
_LZMA = 14
_NEEDED = 63  # version of the format
_DATE = 0x0021  # 1 January 1980, the earliest


def packed_bytes(archive: Path) -> bytes:
    """The content of a .keras archive, as small as we can make it; every array stays as it is, bit by bit."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in _MEMBERS}
    facts = json.loads(members["metadata.json"])
    facts.pop(_VOLATILE, None)
    members["metadata.json"] = json.dumps(facts, sort_keys=True).encode()
    members[WEIGHTS] = _arranged(members[WEIGHTS])
    return _zipped(members)


def _arranged(weights: bytes) -> bytes:
    """The HDF5 file with each array laid out so that it compresses best, and not deflated."""
    content = io.BytesIO()
    with h5py.File(io.BytesIO(weights), "r") as source, new_file(content) as target:
        copy_hdf5(source, target, _layout)
    return content.getvalue()


def _layout(values: Any) -> Layout:
    """Few values, as quantizers give, lie channel by channel (the last axis); others byte by byte (shuffled).

    Chunks have a cost of their own, so that small arrays are left as they are.
    """
    if values.size < 1024:
        return Layout()
    if values.ndim > 1 and _is_of_few_values(values):
        return Layout((*values.shape[:-1], 1))
    return Layout(values.shape, shuffle=True)


def _is_of_few_values(values: Any) -> bool:
    """Whether a channel has at most 256 values: a scale times the levels of up to 8 bits."""
    channels = np.sort(values.reshape(-1, values.shape[-1]), axis=0)
    return bool(((np.diff(channels, axis=0) != 0).sum(axis=0) < 256).all())


def _smallest(data: bytes) -> bytes:
    """A member's compressed form: version, size and bytes of the properties, then the LZMA stream with its end mark."""
    return min((_compressed(data, *model) for model in _MODELS), key=len)


def _compressed(data: bytes, lc: int, lp: int, pb: int) -> bytes:
    filters = [
        {
            "id": lzma.FILTER_LZMA1, "preset": 6, "dict_size": _DICTIONARY, "lc": lc, "lp": lp,
            "pb": pb,
        }
    ]  # fmt: skip
    properties = struct.pack("<BI", (pb * 5 + lp) * 9 + lc, _DICTIONARY)
    head = struct.pack("<BBH", 9, 4, len(properties)) + properties
    return head + lzma.compress(data, format=lzma.FORMAT_RAW, filters=filters)


def _zipped(members: dict[str, bytes]) -> bytes:
    """A zip of these members. Python's `zipfile` reads such members, but writes LZMA with fixed properties alone."""
    content, directory = io.BytesIO(), io.BytesIO()
    for name, data in members.items():
        packed, at = _smallest(data), content.tell()
        common = struct.pack(
            "<HHHHHIIIHH", _NEEDED, _ENDS_BY_MARKER, _LZMA, 0, _DATE, zlib.crc32(data), len(packed), len(data),
            len(name), 0,
        )  # fmt: skip
        content.write(b"PK\x03\x04" + common + name.encode() + packed)
        directory.write(b"PK\x01\x02" + struct.pack("<H", _NEEDED) + common)
        directory.write(struct.pack("<HHHII", 0, 0, 0, 0, at) + name.encode())
    start, size = content.tell(), directory.tell()
    content.write(directory.getvalue())
    count = len(members)
    content.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, size, start, 0))
    return content.getvalue()
