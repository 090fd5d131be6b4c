"""Reads arrays and texts from an untrusted HDF5 file: bounded, and never following a link out of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from stq_deploy.frontend.errors import damaged, shown
from stq_deploy.frontend.source import FloatArray

MAXIMUM_TEXT_BYTES = 16 << 20
MAXIMUM_ARRAY_ELEMENTS = 1 << 26
MAXIMUM_ARRAYS = 1 << 14
_MAXIMUM_PARTS = 64
_FILTERS = frozenset({1, 2, 3})  # deflate, shuffle, fletcher32: those every HDF5 library has built in


@contextmanager
def open_hdf5(source: Path | IO[bytes]) -> Iterator[Any]:
    """The file's root group; whatever the HDF5 library finds wrong with the file becomes a StqError."""
    import h5py

    try:
        with h5py.File(source, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError, OverflowError) as error:
        raise damaged(f"HDF5: {str(error)[:200]}") from error


def group_at(root: Any, path: str) -> Any:
    """The group at `path`, reached over hard links only.

    Raises:
        StqError: absent, or behind a soft or external link.
    """
    import h5py

    found = _walk(root, path)
    if not isinstance(found, h5py.Group):
        raise damaged(f"{shown(path)} is not a group")
    return found


def array_at(root: Any, path: str, shape: tuple[int, ...]) -> FloatArray:
    """The float32 array at `path`.

    Raises:
        StqError: absent, of another shape or type, stored outside the file, or holding NaN or infinity.
    """
    import h5py

    dataset = _walk(root, path)
    if not isinstance(dataset, h5py.Dataset):
        raise damaged(f"{shown(path)} is not an array")
    if dataset.shape != shape:
        raise damaged(f"array {shown(path)} has shape {shown(dataset.shape)}, the configuration asks for {shape}")
    if dataset.dtype != np.float32:
        raise damaged(f"array {shown(path)} is stored as {shown(str(dataset.dtype))}, not as float32")
    if math.prod(shape) > MAXIMUM_ARRAY_ELEMENTS:
        raise damaged(f"array {shown(path)} has more than the {MAXIMUM_ARRAY_ELEMENTS} elements allowed")
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if dataset.is_virtual or dataset.external or not filters <= _FILTERS:
        raise damaged(f"array {shown(path)} is stored outside the file or in an unusual way")
    values: FloatArray = np.asarray(dataset[()], dtype=np.float32)
    if not np.isfinite(values).all():
        raise damaged(f"array {shown(path)} holds NaN or infinite values: the training diverged")
    return values


def array_names(group: Any) -> list[str]:
    """The names listed in a Keras weight group's `weight_names` attribute, in order.

    A list too long for one attribute is in several: `weight_names0`, `weight_names1` ...
    """
    if "weight_names" in group.attrs:
        parts = ["weight_names"]
    else:
        parts = list(itertools.takewhile(group.attrs.__contains__, (f"weight_names{i}" for i in range(_MAXIMUM_PARTS))))
    if not parts:
        raise damaged("a layer's weights are not listed")
    names = [_text(name) for part in parts for name in np.ravel(group.attrs[part])]
    if len(names) > MAXIMUM_ARRAYS:
        raise damaged(f"a layer lists {len(names)} arrays; {MAXIMUM_ARRAYS} are possible")
    return names


def text_attribute(group: Any, name: str) -> str:
    """A text attribute, at most `MAXIMUM_TEXT_BYTES` long.

    Raises:
        StqError: absent, not a text, or too long.
    """
    if name not in group.attrs:
        raise damaged(f"the attribute {name!r} is missing")
    return _text(group.attrs[name])


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str) or len(text) > MAXIMUM_TEXT_BYTES:
        raise damaged("a text attribute is not a text, or too long")
    return str(text)


def _walk(root: Any, path: str) -> Any:
    import h5py

    place = root
    for part in path.split("/"):
        # Soft and external links could lead to other files of this machine.
        if not isinstance(place, h5py.Group) or not isinstance(place.get(part, getlink=True), h5py.HardLink):
            raise damaged(f"{shown(path)} is missing, or a link")
        place = place[part]
    return place
