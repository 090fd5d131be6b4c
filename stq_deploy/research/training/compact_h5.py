"""Rewrites an HDF5 file so that it is small and its bytes are reproducible."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np


@dataclass(frozen=True)
class Layout:
    """How an array is stored in HDF5.

    Attributes:
        chunks: shape of a chunk; None: the array is one piece.
        shuffle: store the first bytes of all numbers, then the second ones, and so on.
        deflate: level of compression, 1 to 9; None: none.
    """

    chunks: tuple[int, ...] | None = None
    shuffle: bool = False
    deflate: int | None = None

    def store(self, group: Any, name: str, values: Any) -> Any:
        """Store an array in an HDF5 group, without a time stamp."""
        if self.chunks is None:
            return group.create_dataset(name, data=values, track_times=False)
        compression = None if self.deflate is None else "gzip"
        return group.create_dataset(
            name, data=values, track_times=False, chunks=self.chunks, shuffle=self.shuffle, compression=compression,
            compression_opts=self.deflate,
        )  # fmt: skip


def compact_bytes(path: Path) -> bytes:
    """The content of the HDF5 file `path` with every array deflated, without timestamps, in name order."""
    content = io.BytesIO()
    with h5py.File(path, "r") as source, new_file(content) as target:
        copy_hdf5(source, target, lambda values: min(_ways(values), key=lambda way: _stored_bytes(values, way)))
    return content.getvalue()


def copy_hdf5(source: Any, target: Any, layout: Callable[[Any], Layout]) -> None:
    """Copy groups, arrays and attributes, in name order.

    Args:
        layout: how an array with one axis or more and at least one number is stored.
    """
    _copy_attributes(source, target)
    _copy_group(source, target, layout)


def new_file(content: io.BytesIO) -> Any:
    """A file whose groups have no timestamps, in the format of HDF5 1.10, whose groups and indices are much smaller."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, content)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    return h5py.File(h5py.h5f.create(repr(content).encode(), fcpl=_timeless(h5py.h5p.FILE_CREATE), fapl=access))


def _timeless(kind: Any) -> Any:
    properties = h5py.h5p.create(kind)
    properties.set_obj_track_times(False)
    return properties


def _copy_group(source: Any, target: Any, layout: Callable[[Any], Layout]) -> None:
    for name in sorted(source):
        item = source[name]
        if isinstance(item, h5py.Group):
            properties = _timeless(h5py.h5p.GROUP_CREATE)
            group = h5py.Group(h5py.h5g.create(target.id, name.encode(), gcpl=properties))
            _copy_attributes(item, group)
            _copy_group(item, group, layout)
        else:
            _copy_attributes(item, _copy_array(item, target, name, layout))


def _copy_array(item: Any, target: Any, name: str, layout: Callable[[Any], Layout]) -> Any:
    values = np.asarray(item[()])
    chosen = layout(values) if values.shape and values.size else Layout()
    return chosen.store(target, name, values)


def _ways(values: Any) -> list[Layout]:
    """Ways to deflate an array.

    An array has one chunk, or one per output channel (the last axis) if these have few values each or are empty. Its
    bytes are shuffled, or left in place for very few values.
    """
    ways = [Layout(values.shape, shuffle=True, deflate=9)]
    if values.ndim > 1:
        by_channel = (*values.shape[:-1], 1)
        ways += [Layout(by_channel, shuffle=shuffle, deflate=9) for shuffle in (False, True)]
    return ways


def _stored_bytes(values: Any, way: Layout) -> int:
    content = io.BytesIO()
    with new_file(content) as file:
        way.store(file, "x", values)
    return len(content.getvalue())


def _copy_attributes(source: Any, target: Any) -> None:
    for name in sorted(source.attrs):
        target.attrs[name] = source.attrs[name]
