"""Opens a `.h5` or `.keras` file as its JSON configuration and its arrays; Keras itself takes no part.

Layouts, as tf_keras 2.21 writes them:
  .h5     root attribute `model_config`; arrays in `model_weights/<layer>/<weight name>`, the names in the group's
          attribute `weight_names`. The group of an inner model holds the arrays of all its layers, however deep.
  .keras  a zip of `config.json` and `model.weights.h5`; arrays in `layers/<snake-case class>[_<n>]/vars/<i>`,
          counted in the order of the configuration; those of an inner model in `layers` in its own group.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import damaged, shown
from stq_deploy.frontend.hdf5 import array_at, array_names, group_at, open_hdf5, text_attribute
from stq_deploy.frontend.source import FloatArray

MAXIMUM_FILE_BYTES = 512 << 20
MAXIMUM_CONFIG_BYTES = 16 << 20
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"

Shapes = dict[str, tuple[int, ...]]
ArrayReader = Callable[[tuple[str, ...], str, Shapes], dict[str, FloatArray]]
"""(`LayerConfig.path`, its `container`, weight name -> shape in Keras's order) -> arrays by weight name."""


@dataclass(frozen=True)
class ModelFile:
    """An open model file.

    Attributes:
        config: `{"class_name": ..., "config": {...}}`, as parsed from JSON. Untrusted.
        read_arrays: the arrays of one layer.
        facts: file name (without folder), SHA-256 of its bytes, and "h5" or "keras".
    """

    config: dict[str, Any]
    read_arrays: ArrayReader
    facts: dict[str, str]


@contextmanager
def open_model_file(path: Path) -> Iterator[ModelFile]:
    """Open a model file of either form, told apart by its first bytes.

    Raises:
        StqError: absent, unreadable, too large, truncated, or of another kind.
    """
    try:
        size = path.stat().st_size
        if size > MAXIMUM_FILE_BYTES:
            raise damaged(f"it has {size} bytes, more than the {MAXIMUM_FILE_BYTES} allowed")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise StqError("there is no such file", next="check the path") from error
    except OSError as error:
        raise StqError(f"cannot read the file: {error.strerror}", next="give the path of a model file") from error
    facts = {"name": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    if content.startswith(_HDF5_MAGIC):
        with open_hdf5(io.BytesIO(content)) as root:
            config = _json(text_attribute(root, "model_config"))
            yield ModelFile(config, _h5_reader(root), facts | {"format": "h5"})
    elif content.startswith(_ZIP_MAGIC):
        config_text, weights = _unzip(content)
        with open_hdf5(io.BytesIO(weights)) as root:
            yield ModelFile(_json(config_text), _keras_reader(root), facts | {"format": "keras"})
    else:
        raise damaged("it is neither an HDF5 file nor a .keras archive")


def _unzip(content: bytes) -> tuple[str, bytes]:
    """The two members we need; nothing is unpacked to disk, so member paths cannot lead anywhere."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            config = _member(archive, "config.json", MAXIMUM_CONFIG_BYTES)
            return config.decode(), _member(archive, "model.weights.h5", MAXIMUM_FILE_BYTES)
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, RuntimeError, NotImplementedError,
            OSError) as error:  # fmt: skip
        raise damaged(f"zip: {str(error)[:200]}") from error


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    # A zip's directory may lie about sizes: reading stops at the limit whatever it says.
    with archive.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise damaged(f"{name} unpacks to more than the {limit} bytes allowed")
    return content


def _json(text: str) -> dict[str, Any]:
    if len(text) > MAXIMUM_CONFIG_BYTES:
        raise damaged("its configuration is too long")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(f"its configuration is not JSON ({str(error)[:200]})") from error
    if not isinstance(config, dict):
        raise damaged("its configuration is not an object")
    return config


def _h5_reader(root: Any) -> ArrayReader:
    @functools.cache
    def listed(outermost: str) -> tuple[Any, dict[str, dict[str, str]]]:
        """The outermost layer's group; the arrays in it: scope -> what the array is -> its path in the group."""
        group = group_at(root, f"model_weights/{outermost}")
        scopes: dict[str, dict[str, str]] = {}
        for name in array_names(group):  # such as "conv1/kernel:0"
            scope, _, last = name.rpartition("/")
            scopes.setdefault(scope, {})[last.split(":")[0]] = name
        return group, scopes

    def read(path: tuple[str, ...], container: str, shapes: Shapes) -> dict[str, FloatArray]:
        group, scopes = listed(path[0])
        if len(path) == 1:  # all arrays of the group are the layer's, whatever it was named when they were made
            found = {what: name for scope in scopes.values() for what, name in scope.items()}
        else:  # the group holds an inner model's arrays: the layer's are under its name, or under more of its path
            ends = ("/".join(path[i:]) for i in range(len(path)))
            found = next((scopes[end] for end in ends if end in scopes), {})
        if set(found) != set(shapes):
            layer = shown("/".join(path))
            raise damaged(f"layer {layer} stores the arrays {shown(sorted(found))}, not {sorted(shapes)}")
        return {name: array_at(group, found[name], shape) for name, shape in shapes.items()}

    return read


def _keras_reader(root: Any) -> ArrayReader:
    def read(path: tuple[str, ...], container: str, shapes: Shapes) -> dict[str, FloatArray]:
        group = group_at(root, f"{container}/vars")
        if len(group) != len(shapes):
            raise damaged(f"layer {shown('/'.join(path))} stores {len(group)} arrays, not {len(shapes)}")
        return {name: array_at(group, str(i), shape) for i, (name, shape) in enumerate(shapes.items())}

    return read
