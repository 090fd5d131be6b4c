"""The content of an .h5 or .keras file as plain values: its configuration's text, its arrays, and lists of their names.

Only this code passes a model file to the HDF5 library. It is bounded, and follows no link out of the file.

Layouts, as tf_keras 2.21 writes them:
  .h5     root attribute `model_config`; arrays in `model_weights/<layer>/<weight name>`, the names in the group's
          attribute `weight_names`. The group of an inner model holds the arrays of all its layers, however deep.
  .keras  a zip of `config.json` and `model.weights.h5`; arrays in `layers/<snake-case class>[_<n>]/vars/<i>`,
          counted in the order of the configuration. An inner model's are in `layers` in its own group, and a nested
          layer's in `<attribute>/vars/<i>` in the outer layer's. Keras 2.13 and 2.14 write
          `_layer_checkpoint_dependencies` for `layers`, and 2.13 counts layers with weights twice.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from typing import Any

import h5py
import numpy as np

from stq_deploy.frontend.formats.keras.limits import HDF5_MAGIC, METADATA, NO_MODEL, WRITER_FACTS
from stq_deploy.sandbox.extract import Extract
from stq_deploy.sandbox.limits import (
    MAXIMUM_ARRAY_BYTES,
    MAXIMUM_ARRAYS,
    MAXIMUM_CONFIG_BYTES,
    MAXIMUM_FILE_BYTES,
    MAXIMUM_GROUPS,
    Unusable,
)

_MAXIMUM_PARTS = 64  # of a list that is too long for one attribute
_OLDER_LAYERS = "_layer_checkpoint_dependencies"
_NUMBERED = re.compile(r"(.*?)(?:_(\d{1,6}))?", re.ASCII | re.DOTALL)
_FILTERS = frozenset({1, 2, 3})  # deflate, shuffle, fletcher32, which every HDF5 library has built in


def extract(content: bytes) -> Extract:
    """Read a model file's bytes.

    Raises:
        Unusable: the whole file is. Nothing else is raised, except by a fault of the HDF5 library.
    """
    try:
        return _from_h5(content) if content.startswith(HDF5_MAGIC) else _from_keras(content)
    except Unusable:
        raise
    except MemoryError as error:
        raise Unusable("it asks for more memory than any model file needs") from error
    except Exception as error:  # h5py and zipfile raise nearly every kind, depending on the damage
        if "filter returned failure" in str(error):  # HDF5 does not state which
            raise Unusable("a part of an array is damaged, or unpacks to more memory than allowed") from error
        raise Unusable(f"{type(error).__name__}: {str(error)[:200]}") from error


def _from_h5(content: bytes) -> Extract:
    with h5py.File(io.BytesIO(content), "r") as root:
        if "model_config" not in root.attrs:
            raise Unusable(NO_MODEL)
        found = Extract(root.attrs["model_config"])
        for word in WRITER_FACTS:
            if word in root.attrs:
                found.state(word, root.attrs[word])
        weights = _group(root, "model_weights")
        for layer in _listed(weights, "layer_names", MAXIMUM_GROUPS) if weights else ():
            group = _group(weights, layer)
            if group is not None:
                names = _listed(group, "weight_names", MAXIMUM_ARRAYS)
                found.header["listed"][layer] = names
                for name in names:
                    _take(found, group, name, f"{layer}/{name}")
        return found


def _from_keras(content: bytes) -> Extract:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # Nothing is unpacked to disk, so the members' paths have no effect. But Keras, if the user runs the model with
        # it, unpacks all of them.
        members = archive.infolist()
        if len(members) > MAXIMUM_GROUPS or sum(member.file_size for member in members) > 2 * MAXIMUM_FILE_BYTES:
            raise Unusable("its members unpack to more than any model file holds")
        found = Extract(_member(archive, "config.json", MAXIMUM_CONFIG_BYTES))
        if any(member.filename == "metadata.json" for member in members):
            found.state(METADATA, _member(archive, "metadata.json", MAXIMUM_CONFIG_BYTES))
        weights = _member(archive, "model.weights.h5", MAXIMUM_FILE_BYTES)
    with h5py.File(io.BytesIO(weights), "r") as root:
        models = [(root, "layers")]
        groups = 0
        while models:
            model, path = models.pop()
            older = _group(model, _OLDER_LAYERS)
            layers = _group(model, "layers") if older is None else older
            names = _names(layers) if layers else []
            for container, counted in zip(names, names if older is None else _counted(names), strict=True):
                groups += 1
                if groups > MAXIMUM_GROUPS:
                    raise Unusable(f"it has arrays of more than the {MAXIMUM_GROUPS} layers allowed")
                layer, place = _group(layers, container), f"{path}/{counted}"
                for member in _names(layer) if layer else ():
                    if member in ("layers", _OLDER_LAYERS):
                        models.append((layer, f"{place}/layers"))
                    else:
                        _take_variables(found, layer, "vars" if member == "vars" else f"{member}/vars", place)
                        inner = None if member == "vars" else _group(layer, member)
                        for part in _names(inner) if inner else ():  # a quantizer of HGQ2 is two levels down
                            groups += 1
                            if part != "vars" and groups <= MAXIMUM_GROUPS:
                                _take_variables(found, layer, f"{member}/{part}/vars", place)
    return found


def _counted(containers: list[str]) -> list[str]:
    """Containers as later versions count them: `dense`, `dense_2`, `dense_4` become `dense`, `dense_1`, `dense_2`."""
    numbers: dict[str, list[int]] = {}
    parts = [_NUMBERED.fullmatch(name) for name in containers]
    pairs = [(part[1], int(part[2] or 0)) if part else (name, 0) for part, name in zip(parts, containers, strict=True)]
    for base, number in pairs:
        numbers.setdefault(base, []).append(number)
    places = [(base, sorted(numbers[base]).index(number)) for base, number in pairs]
    return [f"{base}_{place}" if place else base for base, place in places]


def _take_variables(found: Extract, layer: Any, path: str, place: str) -> None:
    """Take all arrays of a group below a layer's."""
    variables = _group(layer, path)
    for name in _names(variables) if variables else ():
        _take(found, variables, name, f"{place}/{path}/{name}")


def _take(found: Extract, group: Any, name: str, path: str) -> None:
    """Take the array that a group has under `name`, as `path`."""
    array = _reach(group, name)
    if not isinstance(array, h5py.Dataset):
        found.refuse(path, "is missing, or a link, or no array")
    elif problem := _problem(array):
        found.refuse(path, problem)
    else:
        found.room_for(array.size * 4)
        found.put(path, array[()].astype(np.float32))


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    # A zip's directory may state false sizes: reading stops at the limit whatever they are.
    with archive.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise Unusable(f"{name} unpacks to more than the {limit} bytes allowed")
    return content


# HDF5


def _reach(place: Any, path: str) -> Any:
    """The object at `path` below a group, over hard links only, which cannot leave the file; or None."""
    for part in path.split("/"):
        if not isinstance(place, h5py.Group) or not isinstance(place.get(part, getlink=True), h5py.HardLink):
            return None
        place = place[part]
    return place


def _group(place: Any, path: str) -> Any:
    """The group at `path`, or None."""
    found = _reach(place, path)
    return found if isinstance(found, h5py.Group) else None


def _names(group: Any) -> list[str]:
    """The names of a group's members."""
    if len(group) > MAXIMUM_GROUPS:
        raise Unusable(f"a group has {len(group)} members; {MAXIMUM_GROUPS} are allowed")
    return list(group)


def _listed(group: Any, attribute: str, limit: int) -> list[str]:
    """The names listed in an attribute; if the list is long, in `<attribute>0`, `<attribute>1` ... instead."""
    names: list[str] = []
    for part in (attribute, *(f"{attribute}{i}" for i in range(_MAXIMUM_PARTS))):
        if part in group.attrs:
            values = np.ravel(group.attrs[part])
            if len(names) + len(values) > limit:
                raise Unusable(f"an attribute lists more than the {limit} names allowed")
            names += [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return names


def _problem(dataset: Any) -> str:
    """Why an array cannot be used, or ""."""
    if dataset.dtype not in (np.float32, np.uint8, np.int8):  # sign bits of HGQ2; weights that Keras 3 has quantized
        return f"is stored as {str(dataset.dtype)[:40]}, not as float32"
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if dataset.is_virtual or dataset.external or not filters <= _FILTERS:
        return "is stored outside the file or in an unusual way"
    # A chunk is unpacked completely, however little of it the array uses.
    shape, chunk = dataset.shape, dataset.chunks or ()
    if shape is None or max(math.prod(shape), math.prod(chunk)) * 4 > MAXIMUM_ARRAY_BYTES:
        return f"has the shape {str(dataset.shape)[:80]}, more than the {MAXIMUM_ARRAY_BYTES} bytes allowed"
    return ""
