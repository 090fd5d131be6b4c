"""Damages and twists model files in every way a fuzz target can think of; equally for equal random states.

`bytes` knows nothing of the form. `zip` damages an archive. `heap` gives numbers within HDF5's own structures the
values of others. `config` rewrites the JSON. `objects` rewrites what HDF5 stores: arrays, links, lists of names.
`polyglot` makes one file of two models, a ZIP archive to one reader and an HDF5 file to another.
"""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

from tests.helpers.frontend.polyglots import hdf5_first, zip_first

_SMALL = (-1, 0, 1, 2, 3, 7, 8, 16, 255, 256)
_LARGE = (65535, 65536, 65537, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 10**30, 10**400)
_TEXTS = (
    "", " ", "x" * 300, "x" * 10_000, "*/", "//", "/", "..", ".", "../../etc/passwd", "a/b", "int", "main", "\0",
    "\u202e", "\ud800", "é", "名", "%s%n", "{}", "{{ 7 * 7 }}", "__import__('os').system('x')", "os", "C:\\x", "NaN",
    "\x1b[31m", "linear", "relu", "same", "valid", "causal", "channels_first", "float16", "float32", "auto", "auto_po2",
    "ternary()", "binary(alpha=1)", "quantized_bits(4,0,1,alpha=1)", "quantized_relu(4,2)", "quantized_relu(99,99)",
    "quantized_bits(1e400)", "quantized_bits(" + "9" * 200 + ")", "softmax", "hard_sigmoid", "_CONSTANT_VALUE",
)  # fmt: skip
_KINDS = (
    "InputLayer", "Functional", "Sequential", "Model", "Lambda", "TFOpLambda", "TimeDistributed", "LSTM", "Conv2D",
    "QConv2D", "QConv1D", "QDense", "Dense", "QDepthwiseConv2D", "QSeparableConv2D", "QActivation", "Activation",
    "BatchNormalization", "QBatchNormalization", "QConv2DBatchnorm", "Flatten", "Reshape", "Permute", "Add",
    "Multiply", "Concatenate", "MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "ZeroPadding2D",
    "UpSampling2D", "Dropout", "ReLU", "LeakyReLU", "ternary", "quantized_bits", "HeNormal", "__lambda__", "function",
)  # fmt: skip
PAYLOAD_MODULE = "stq_fuzz_payload"
_MODULES = ("keras.layers", "qkeras.quantizers", "builtins", "os", "keras.src.models.functional", None, PAYLOAD_MODULE)
_ODD = (None, True, False, 0.5, -0.0, 1e-300, 1e300, float("inf"), float("nan"), [], {}, [[]], [None], [[0, 0]])
_MAXIMUM_PLACES = 1 << 17  # of a tree that is still changed: lists of 50 copies, in each other, soon fill the memory

_FAILURES = (ArithmeticError, KeyError, OSError, RuntimeError, TypeError, ValueError)  # what h5py raises

Mutation = Callable[[bytes, random.Random, list[bytes]], bytes]


def mutate(seeds: list[bytes], state: random.Random) -> tuple[str, bytes]:
    """(name of the kind, a mutated file) from one of the seeds."""
    seed = state.choice(seeds)
    kinds = {"bytes": 2, "heap": 1, "config": 5, "objects": 2, "polyglot": 1}
    if not _is_h5(seed):
        kinds |= {"zip": 1}
    kind = state.choices([*kinds], [*kinds.values()])[0]
    return kind, MUTATIONS[kind](seed, state, seeds)


# Bytes


def _is_h5(content: bytes) -> bool:
    return content.startswith(b"\x89HDF")


def _flip(content: bytearray, state: random.Random) -> None:
    at = _place(content, state)
    content[at] ^= 1 << state.randrange(8)


def _overwrite(content: bytearray, state: random.Random) -> None:
    at, width = _place(content, state), state.choice((1, 2, 4, 8))
    value = state.choice((*_SMALL, *_LARGE[:10], state.getrandbits(64), len(content)))
    content[at : at + width] = (value % 256**width).to_bytes(width, "little")


def _splice(content: bytearray, state: random.Random) -> None:
    length, at, source = state.choice((4, 8, 16, 64, 256, 2048)), _place(content, state), _place(content, state)
    content[at : at + length] = content[source : source + length]


def _insert(content: bytearray, state: random.Random) -> None:
    at, source = _place(content, state), _place(content, state)
    content[at:at] = content[source : source + state.choice((1, 8, 64, 1024))]


def _remove(content: bytearray, state: random.Random) -> None:
    at = _place(content, state)
    del content[at : at + state.choice((1, 8, 64, 1024))]


def _truncate(content: bytearray, state: random.Random) -> None:
    del content[_place(content, state) :]


def _place(content: bytearray, state: random.Random) -> int:
    """Anywhere, but half the time near the beginning, where the structure is."""
    return state.randrange(max(1, min(len(content), state.choice((512, 4096, 1 << 30, 1 << 30)))))


_BYTE_STEPS = (_flip, _flip, _overwrite, _overwrite, _splice, _insert, _remove, _truncate)


def _mutate_bytes(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    if _is_h5(seed):
        return _damaged(seed, state)
    config, weights = _unzip(seed)
    if state.random() < 0.3:
        return _zip(_damaged(config, state), weights)
    return _zip(config, _damaged(weights, state))


def _damaged(content: bytes, state: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(state.choice((1, 1, 1, 2, 4, 16))):
        state.choice(_BYTE_STEPS)(found, state)
        if not found:
            break
    return bytes(found)


def _mutate_heap(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    """Addresses, sizes and counts of HDF5 are 8, 4 or 2 aligned bytes: one takes the value of another, or nearly."""
    config, content = (b"", seed) if _is_h5(seed) else _unzip(seed)
    found = bytearray(content)
    for _ in range(state.choice((1, 1, 2, 3))):
        width = state.choice((2, 4, 8, 8))
        to, source = (state.randrange(len(found) // width) * width for _ in range(2))
        signature = found.rfind(state.choice((b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR")), 0, to)
        if signature >= 0:  # within a structure of the library's own
            to = min(signature + state.randrange(0, 96, 2), len(found) - width)
        value = int.from_bytes(found[source : source + width], "little") + state.choice((0, 0, -1, 1, 8))
        found[to : to + width] = (value % 256**width).to_bytes(width, "little")
    return bytes(found) if _is_h5(seed) else _zip(config, bytes(found))


# Zip


def _unzip(content: bytes) -> tuple[bytes, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read("config.json"), archive.read("model.weights.h5")


def _zip(config: bytes, weights: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name, content in (("config.json", config), ("model.weights.h5", weights)):
            archive.writestr(zipfile.ZipInfo(name), content, method)  # dated 1980, not now
    return into.getvalue()


def _mutate_zip(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    config, weights = _unzip(seed)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    content = bytearray(_zip(config, weights, state.choice(methods)))
    if state.random() < 0.5:  # in the directory, at the end
        at = content.rfind(b"PK\x01\x02") + state.randrange(46)
        width = state.choice((1, 2, 4))
        content[at : at + width] = (state.choice((*_SMALL, *_LARGE[:6])) % 256**width).to_bytes(width, "little")
        return bytes(content)
    return _damaged(bytes(content), state)


# Configuration


def _mutate_config(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    def change(config: Any) -> None:
        for _ in range(state.choice((1, 1, 1, 2, 3, 8))):
            _twist(config, state, seeds)

    def damage(text: str) -> str:
        if state.random() < 0.02:
            return state.choice((text[:-1], text * 2, "[" * 5000 + text, f'{{"a":{text}}}', text.replace('"', "'")))
        return text

    return mutate_configuration(seed, change, damage)


def mutate_configuration(
    seed: bytes, change: Callable[[Any], None], damage: Callable[[str], str] = lambda text: text
) -> bytes:
    """The file with another configuration.

    Args:
        change: changes the parsed configuration in place.
        damage: gives another text for the configuration's JSON.
    """
    config = json.loads(_config_of(seed))
    change(config)
    text = damage(json.dumps(config))
    if not _is_h5(seed):
        return _zip(text.encode(), _unzip(seed)[1])

    def write(file: h5py.File) -> None:
        file.attrs["model_config"] = text

    return _with_hdf5(seed, write)


def _config_of(seed: bytes) -> str:
    if not _is_h5(seed):
        return _unzip(seed)[0].decode()
    with h5py.File(io.BytesIO(seed), "r") as file:
        return str(file.attrs["model_config"])


def _twist(config: Any, state: random.Random, seeds: list[bytes]) -> None:
    """One change somewhere in the tree."""
    places = list(_places(config))
    if len(places) > _MAXIMUM_PLACES:
        return
    container, key = state.choice(places)
    value = container[key]
    step = state.randrange(12)
    if step == 0:
        del container[key]
    elif step == 1 and isinstance(container, list):
        container.insert(state.randrange(len(container) + 1), copy.deepcopy(value))
    elif step == 2:
        container[key] = copy.deepcopy(_at(state.choice(places)))
    elif step == 3:
        other = state.choice(places)
        container[key], other[0][other[1]] = copy.deepcopy(_at(other)), copy.deepcopy(value)
    elif step == 4 and isinstance(container, dict):
        container[state.choice((*_TEXTS, *(str(_key(place)) for place in places[:50])))] = container.pop(key)
    elif step == 5:
        for _ in range(state.choice((1, 2, 20, 60))):
            value = [value] if state.random() < 0.5 else {"config": value}
        container[key] = value
    elif step == 6:
        container[key] = copy.deepcopy(_at(state.choice(list(_places(json.loads(_config_of(state.choice(seeds))))))))
    elif step == 7:
        _twist_layer(config, state)
    else:
        container[key] = _other_value(value, state)


def _twist_layer(config: Any, state: random.Random) -> None:
    """A change that knows what a layer is: its class, name, module, or what it reads."""
    values = (_at(place) for place in _places(config))
    layers = [value for value in values if isinstance(value, dict) and "class_name" in value]
    if not layers:
        return
    layer, step = state.choice(layers), state.randrange(6)
    if step == 0:
        layer["class_name"] = state.choice(_KINDS)
    elif step == 1:
        layer["module"] = state.choice(_MODULES)
    elif step == 2 and isinstance(layer.get("config"), dict):
        layer["config"]["name"] = state.choice(_TEXTS)
    elif step == 3:
        layer["inbound_nodes"] = [[[state.choice(layers).get("name"), state.choice((0, 0, 1)), 0, {}]]]
    elif step == 4 and isinstance(layer.get("inbound_nodes"), list):
        layer["inbound_nodes"] = layer["inbound_nodes"] * state.choice((0, 2, 50))
    else:
        layer["config"] = copy.deepcopy(state.choice(layers).get("config"))


def _other_value(value: Any, state: random.Random) -> Any:
    """Something else, of the same type if it is one that has few values in a file."""
    if state.random() < 0.2:
        return copy.deepcopy(state.choice((*_ODD, *_LARGE, *_TEXTS)))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return state.choice((*_SMALL, *_LARGE, value + 1, value - 1, -value))
    if isinstance(value, float):
        return state.choice((-value, value * 2, 0.0, 1e-300, 1e300, float("nan"), float("inf")))
    if isinstance(value, str):
        return state.choice((*_TEXTS, *_KINDS, value.upper(), value + "x", value[:-1]))
    return copy.deepcopy(state.choice(_ODD))


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value in a tree of JSON."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        container = waiting.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        found += [(container, key) for key in keys]
        waiting += [container[key] for key in keys if isinstance(container[key], dict | list)]
    return found or [([None], 0)]


def _at(place: tuple[Any, Any]) -> Any:
    return place[0][place[1]]


def _key(place: tuple[Any, Any]) -> Any:
    return place[1]


# What HDF5 stores


def _mutate_objects(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    def change(file: h5py.File) -> None:
        paths: list[str] = []
        file.visit(paths.append)
        for _ in range(state.choice((1, 1, 2, 4))):
            _change_object(file, state.choice(paths), state)

    if _is_h5(seed):
        return _with_hdf5(seed, change)
    config, weights = _unzip(seed)
    return _zip(config, _with_hdf5(weights, change))


def _change_object(file: h5py.File, path: str, state: random.Random) -> None:
    found = file.get(path)
    if found is None:
        return
    if isinstance(found, h5py.Dataset) and found.size > 1 << 20:
        return  # one made huge before: not to be read here
    if isinstance(found, h5py.Dataset) and state.random() < 0.7:
        _change_array(file, path, found, state)
    elif len(found.attrs) and state.random() < 0.7:
        _change_attribute(found.attrs, state.choice(list(found.attrs)), state)
    else:
        other = state.choice(list(file))
        parent, name = file[path].parent, path.rsplit("/", 1)[-1]
        step = state.randrange(4)
        if step == 0:
            del file[path]
        elif step == 1:
            parent[f"{name}x"] = found
        elif step == 2:
            parent[f"{name}y"] = file[other]  # a hard link, perhaps to a group that it is in
        else:
            del file[path]
            parent[name] = state.choice((h5py.SoftLink(f"/{other}"), h5py.ExternalLink("/dev/zero", "/x"), file[other]))


def _change_array(file: h5py.File, path: str, array: h5py.Dataset, state: random.Random) -> None:
    values, step = array[()], state.randrange(6)
    del file[path]
    if step == 0:
        values = values.astype(state.choice(("f8", "f2", "i4", ">f4", "u1", "c8", "S3")))
    elif step == 1:
        values = np.resize(values, state.choice(((), (0,), (1,), values.shape[::-1], (*values.shape, 1), (3, 5, 7))))
    elif step == 2 and values.size:
        values.reshape(-1)[state.randrange(values.size)] = state.choice((np.nan, np.inf, -np.inf, 3e38, -1, 0, 1e-45))
    elif step == 3:
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        file.create_dataset(path, data=values, chunks=True, **options) if values.ndim else None
        return
    elif step == 4:
        shape = state.choice(((1 << 40,), (1 << 16, 1 << 16), (1, 1 << 31)))
        file.create_dataset(path, shape, "f4", chunks=True)
        return
    else:
        values = np.full(values.shape, state.choice((0, 1, -1e30, 1e30)), np.float32)
    file[path] = values


def _change_attribute(attributes: Any, name: str, state: random.Random) -> None:
    value = attributes[name]
    names = [str(text) for text in np.ravel(value)]
    step = state.randrange(5)
    if step == 0:
        del attributes[name]
    elif step == 1:
        attributes[name] = [*names, *names]
    elif step == 2:
        attributes[name] = [*(text for text in _TEXTS if "\0" not in text and text.isprintable()), *names]
    elif step == 3:
        attributes[name] = state.choice((7, 1.5, np.zeros((3, 4)), h5py.Empty("f4"), np.array([b"x"] * 100)))
    else:
        state.shuffle(names)
        attributes[name] = names


def _with_hdf5(content: bytes, change: Callable[[h5py.File], None]) -> bytes:
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file, suppress(*_FAILURES):
        change(file)  # as far as the library lets it
    return stream.getvalue()


# Two models in one file


def _mutate_polyglot(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    """Any archive and any HDF5 file, as they are or reconfigured; then perhaps damaged as a whole."""
    archive = state.choice([each for each in seeds if not _is_h5(each)])
    hdf5 = state.choice([each for each in seeds if _is_h5(each)])
    if state.random() < 0.3:
        archive = _mutate_config(archive, state, seeds)
    if state.random() < 0.3:
        hdf5 = _mutate_config(hdf5, state, seeds)
    content = zip_first(archive, hdf5) if state.random() < 0.5 else hdf5_first(hdf5, archive)
    return _damaged(content, state) if state.random() < 0.3 else content


MUTATIONS: dict[str, Mutation] = {
    "bytes": _mutate_bytes,
    "heap": _mutate_heap,
    "zip": _mutate_zip,
    "config": _mutate_config,
    "objects": _mutate_objects,
    "polyglot": _mutate_polyglot,
}
