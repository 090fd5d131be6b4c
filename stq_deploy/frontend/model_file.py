"""Opens a `.h5` or `.keras` file as its JSON configuration and its arrays, without Keras.

`sandbox` reads the file and knows its layout. This module finds the values that belong to a layer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import H5, KERAS, file_kind, folder_kind, weights_alone
from stq_deploy.common.regular_file import read_regular
from stq_deploy.common.untrusted_json import parse_json, writable
from stq_deploy.frontend.errors import damaged, located, shown
from stq_deploy.frontend.source import FloatArray
from stq_deploy.sandbox import HDF5_MAGIC, MAXIMUM_FILE_BYTES, NO_MODEL, ZIP_MAGIC, Contents, Unusable, read_contents

Shapes = Mapping[str, tuple[int, ...] | None]
"""Every array that a layer stores, in Keras's order: name -> shape, or None for one that is not read.

The arrays of a layer inside the layer are named `inner/name`, after the attribute that holds it.
"""
ArrayReader = Callable[[tuple[str, ...], str, Shapes], dict[str, FloatArray]]
"""(`LayerConfig.path`, its `container`, shapes) -> arrays by name."""


_FORMS = {"h5": "an HDF5 file", "keras": "a .keras archive"}
_FORMS_BY_ENDING = {".h5": "h5", ".hdf5": "h5", ".keras": "keras"}


@dataclass(frozen=True)
class ModelFile:
    """A model file.

    Attributes:
        path: where it was read.
        config: `{"class_name": ..., "config": {...}}`, as parsed from JSON. Untrusted.
        read_arrays: the arrays of one layer. Raises StqError: absent, of another shape or type, or not finite.
        count_numbers: the count of all numbers stored for a layer at this path and container.
        facts: file name (without folder), SHA-256 of its bytes, and "h5" or "keras".
    """

    path: Path
    config: dict[str, Any]
    read_arrays: ArrayReader
    count_numbers: Callable[[tuple[str, ...], str], int]
    facts: dict[str, str]


def open_model_file(path: Path) -> ModelFile:
    """Read a model file once, through one descriptor; its first bytes decide the form.

    Raises:
        StqError: absent, unreadable, too large, truncated, damaged, of another kind, or of a kind that contradicts its
            name.
    """
    try:
        return read_model(_content(path), path)
    except StqError as error:
        raise located(error, str(path)) from error


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise folder_kind(path).error()
        content = read_regular(path, MAXIMUM_FILE_BYTES)
    except FileNotFoundError as error:
        raise StqError("there is no such file", next="check the path") from error
    except OSError as error:
        raise StqError(f"cannot read the file: {error.strerror}", next="give the path of a model file") from error
    if len(content) > MAXIMUM_FILE_BYTES:
        raise damaged(f"it has more than the {MAXIMUM_FILE_BYTES} bytes allowed")
    return content


def read_model(content: bytes, path: Path) -> ModelFile:
    """A model file of this content.

    Raises:
        StqError: truncated, damaged, or of a kind that contradicts its name.
    """
    kind = file_kind(content, path.name)
    if kind is not None and kind.form not in (H5, KERAS):
        raise kind.error()
    form = "h5" if content.startswith(HDF5_MAGIC) else "keras" if content.startswith(ZIP_MAGIC) else ""
    if not form:
        raise damaged("it is neither an HDF5 file nor a .keras archive")
    named = _FORMS_BY_ENDING.get(path.suffix.lower(), form)
    if named != form:
        raise StqError(
            f"its name is that of {_FORMS[named]}, its content that of {_FORMS[form]}",
            cause="it was renamed, or made so that programs disagree about what it holds",
            next=f"if you know where it comes from, let its name end in .{form}",
        )
    try:
        found = read_contents(content)
    except Unusable as error:
        raise weights_alone() if NO_MODEL in str(error) else damaged(str(error)) from error
    reader = _h5_reader(found) if form == "h5" else _keras_reader(found)
    facts = {"name": writable(path.name), "sha256": hashlib.sha256(content).hexdigest(), "format": form}
    return ModelFile(path, _json(found.config), reader, _counter(found, form), facts)


def _json(text: str) -> dict[str, Any]:
    try:
        config = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise damaged(f"its configuration is not JSON ({str(error)[:200]})") from error
    if not isinstance(config, dict):
        raise damaged("its configuration is not an object")
    return config


def _counter(found: Contents, form: str) -> Callable[[tuple[str, ...], str], int]:
    def count(path: tuple[str, ...], container: str) -> int:
        beginning = f"{container}/" if form == "keras" else f"{path[0]}/"
        within = f"/{path[-1]}/" if form == "h5" and len(path) > 1 else ""
        own = (array for name, array in found.arrays.items() if name.startswith(beginning) and within in name)
        return sum(array.size for array in own if not isinstance(array, str))

    return count


def _h5_reader(found: Contents) -> ArrayReader:
    @cache
    def scopes_of(outermost: str) -> dict[str, dict[str, str]]:
        """Arrays of an outermost layer: scope -> role of the array -> its name."""
        scopes: dict[str, dict[str, str]] = {}
        for name in found.listed.get(outermost, ()):  # such as "conv1/kernel:0"
            scope, _, last = name.rpartition("/")
            scopes.setdefault(scope, {})[last.split(":")[0]] = name
        return scopes

    def read(path: tuple[str, ...], container: str, shapes: Shapes) -> dict[str, FloatArray]:
        scopes = scopes_of(path[0])
        if len(path) == 1:  # all belong to the layer, whatever its name was when they were made
            own = list(scopes.values())
        else:  # arrays of all layers of an inner model; this layer's are under its name, or a longer part of its path
            ends = ("/".join(path[i:]) for i in range(len(path)))
            end = next((end for end in ends if end in scopes), "")
            inner = any("/" in what for what in shapes)  # whether it contains a layer, under some name
            own = [scopes[s] for s in scopes if s == end or (inner and s.rpartition("/")[0] == end)]
        names = {what: name for scope in own for what, name in scope.items()}
        layer = shown("/".join(path))
        if set(names) != {_last(what) for what in shapes}:
            raise damaged(f"layer {layer} stores the arrays {shown(sorted(names))}, not {sorted(map(_last, shapes))}")
        stored = {what: found.arrays.get(f"{path[0]}/{name}", "is missing") for what, name in names.items()}
        return {w: _checked(stored[_last(w)], shape, layer, w) for w, shape in shapes.items() if shape is not None}

    return read


def _keras_reader(found: Contents) -> ArrayReader:
    counts = Counter(path.rpartition("/")[0] for path in found.arrays)

    def read(path: tuple[str, ...], container: str, shapes: Shapes) -> dict[str, FloatArray]:
        layer = shown("/".join(path))
        by_group: dict[str, list[str]] = {}  # arrays of a layer inside it are in a group within its own
        for what in shapes:
            inner = what.rpartition("/")[0]
            by_group.setdefault(f"{container}/{inner}/vars" if inner else f"{container}/vars", []).append(what)
        if any(counts[group] != len(names) for group, names in by_group.items()) or not shapes:
            raise damaged(f"layer {layer} stores {[counts[group] for group in by_group]} arrays, not {sorted(shapes)}")
        return {
            what: _checked(found.arrays.get(f"{group}/{i}", "is missing"), shape, layer, what)
            for group, names in by_group.items()
            for i, what in enumerate(names)
            if (shape := shapes[what]) is not None
        }

    return read


def _last(what: str) -> str:
    return what.rpartition("/")[2]


def _checked(stored: FloatArray | str, shape: tuple[int, ...], layer: str, what: str) -> FloatArray:
    """A stored array, if it has this shape and is finite."""
    if isinstance(stored, str):
        raise damaged(f"array {what!r} of layer {layer} {stored}")
    if stored.shape != shape:
        raise damaged(f"array {what!r} of layer {layer} has shape {stored.shape}, the configuration asks for {shape}")
    if not np.isfinite(stored).all():
        raise StqError(
            f"array {what!r} holds NaN or infinite values",
            where=f"layer {layer}",
            cause="the training diverged",
            next="train again, with a lower learning rate or clipped gradients",
        )
    return stored
