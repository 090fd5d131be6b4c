"""Files that are two models at once: what a ZIP reader and an HDF5 reader find in the same bytes differs.

HDF5 looks for its signature at 0, 512, 1024 ...: what lies before is a user block, and may be the beginning of a ZIP
archive. A ZIP reader starts at the end, and takes no notice of what lies before the first member.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import Any

import h5py

USER_BLOCK = 512
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
_LOCAL_HEADER = 30


def zip_first(archive: bytes, hdf5: bytes) -> bytes:
    """A ZIP archive with the members of `archive` that is, to HDF5, the file `hdf5` behind a user block."""
    behind = _with_user_block(hdf5)[USER_BLOCK:]
    name = "metadata.json"  # which Keras writes, and the import does not read
    padding = USER_BLOCK - _LOCAL_HEADER - len(name)
    cover = zipfile.ZipInfo(name, _FIXED_DATE)
    cover.extra = b"\xff\xff" + (padding - 4).to_bytes(2, "little") + bytes(padding - 4)
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as target, zipfile.ZipFile(io.BytesIO(archive)) as source:
        target.writestr(cover, behind)
        with warnings.catch_warnings():
            # The archive may have the cover's name too. Readers then take the later member.
            warnings.filterwarnings("ignore", "Duplicate name", UserWarning)
            for member in source.infolist():
                target.writestr(zipfile.ZipInfo(member.filename, _FIXED_DATE), source.read(member))
    content = into.getvalue()
    assert content[USER_BLOCK:].startswith(b"\x89HDF")
    return content


def hdf5_first(hdf5: bytes, archive: bytes) -> bytes:
    """The file `hdf5` that is, to a ZIP reader, the archive `archive`."""
    return hdf5 + archive


def _with_user_block(hdf5: bytes) -> bytes:
    into = io.BytesIO()
    with h5py.File(into, "w", userblock_size=USER_BLOCK) as target, h5py.File(io.BytesIO(hdf5), "r") as source:
        _copy(source, target)
    return into.getvalue()


def _copy(source: Any, target: Any) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value
    for name in source:
        source.copy(name, target)
