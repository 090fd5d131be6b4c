"""The .stq file: one integer network as a zip of `network.json` and little `.npy` arrays (docs/FORMAT.md).

The file is untrusted. Sizes are bounded before anything is unpacked, and nothing is unpickled. Every field is checked
by type, and `Network` checks the whole.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import typing
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import STQ, folder_kind, kind_of_file
from stq_deploy.common.files import write_whole
from stq_deploy.common.npy_member import read_array
from stq_deploy.common.regular_file import read_regular
from stq_deploy.common.untrusted_json import parse_json
from stq_deploy.network.bitfields import pack_bits, unpack_bits
from stq_deploy.network.canonical import FORMAT, VERSION, Arrays, archived_bits, network_document
from stq_deploy.network.graph import Network
from stq_deploy.network.input_format import ROUNDING_KINDS, Domain, InputRounding, pixel_domain
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.ops import OP_KINDS, Op, Window
from stq_deploy.network.requantize import REQUANTIZE_KINDS
from stq_deploy.network.tensor import TensorType

VERSIONS = (1, VERSION)
MAXIMUM_FILE_BYTES = 64 << 20
MAXIMUM_UNPACKED_BYTES = 256 << 20
MAXIMUM_MEMBERS = 10_000
MAXIMUM_DOCUMENT_BYTES = 8 << 20
_INTEGERS = ("|i1", "<i2", "<i4", "<i8")
_SINCE_2 = ("input_rounding", "input_domain")
_INPUT_TYPES = ("<f8", "<f4", "|i1")
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # zip members carry a date; a fixed one keeps equal networks equal files


def save_network(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a .stq file: complete or not at all, and the same bytes for the same network.

    Raises:
        StqError: the file cannot be written.
    """
    arrays: Arrays = {}
    document = network_document(network, arrays) | {"metadata": network.metadata.to_json()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:

        def add(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, _FIXED_DATE), content, zipfile.ZIP_DEFLATED, 9)

        add("network.json", json.dumps(document, sort_keys=True, indent=1).encode())
        for name in sorted(arrays):
            packed = _packed_bits(document, name)
            array = pack_bits(arrays[name], packed) if packed else arrays[name]
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            add(f"{name}.npy", buffer.getvalue())
    write_whole(path, content.getvalue(), parents=False)


def is_network_file(path: Path) -> bool:
    """Whether a file is a .stq network of any version, so that a new one may replace it."""
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            return False
        with zipfile.ZipFile(path) as archive:
            document = json.loads(_read(archive, "network.json", MAXIMUM_DOCUMENT_BYTES))
    except Exception:  # whatever the fault, it is not a network
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read and check a .stq file.

    Raises:
        StqError: unreadable, truncated, of a newer version, too large, or inconsistent.
    """
    path = Path(path)
    if path.is_dir():
        raise folder_kind(path).error(str(path))
    kind = kind_of_file(path)
    if kind is not None and kind.form != STQ and (kind.form or not zipfile.is_zipfile(path)):
        raise kind.error(str(path))
    try:
        content = read_regular(path, MAXIMUM_FILE_BYTES)
        if len(content) > MAXIMUM_FILE_BYTES:
            raise _damaged(path, f"the file has more than the {MAXIMUM_FILE_BYTES} bytes allowed")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > MAXIMUM_MEMBERS or sum(m.file_size for m in members) > MAXIMUM_UNPACKED_BYTES:
                raise _damaged(path, "it would unpack to more than is allowed")
            document = parse_json(_read(archive, "network.json", MAXIMUM_DOCUMENT_BYTES))
            _check_version(path, document)
            _check_arrays(document)
            return _network(document, archive)
    except StqError as error:
        raise error if error.where == str(path) else _located(error, path) from error
    except FileNotFoundError as error:
        raise StqError("there is no such file", where=str(path), next="check the path") from error
    except OSError as error:
        raise StqError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    except (
        AttributeError,
        EOFError,
        IndexError,
        KeyError,
        NotImplementedError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    except Exception as error:
        if type(error).__module__ == "zlib":  # zlib.error derives from Exception alone
            raise _damaged(path, f"a compressed part is broken: {error}") from error
        raise


def _packed_bits(document: dict[str, Any], name: str) -> int:
    """Field width of a bit-packed array; 0 for one stored as it is."""
    if name.startswith("input."):
        return 0
    op = document["ops"][int(name.removeprefix("op").split(".")[0])]
    bits = archived_bits(op["weight_bits"]) if name.endswith(".weights") else 8
    return bits if bits < 8 else 0


def _network(document: dict[str, Any], archive: zipfile.ZipFile) -> Network:
    tensors = {
        _text(name): TensorType(
            shape=tuple(_integer(n) for n in t["shape"]),
            dtype=_text(t["dtype"]),
            minimum=_integer(t["minimum"]),
            maximum=_integer(t["maximum"]),
            scale=_real(t["scale"]),
            zero_point=_integer(t["zero_point"]),
        )
        for name, t in document["tensors"].items()
    }  # fmt: skip
    name, mapped = _text(document["input"]), _range(document.get("input_range", [0.0, 1.0]))
    return Network(
        tensors=tensors,
        ops=tuple(_op(described, archive) for described in document["ops"]),
        input=name,
        outputs=_texts(document["outputs"]),
        input_range=mapped,
        input_rounding=_rounding(document, archive),
        input_domain=_domain(document, pixel_domain(tensors[name], *mapped)),
        metadata=Metadata.from_json(document.get("metadata", {})),
    )


def _rounding(document: dict[str, Any], archive: zipfile.ZipFile) -> InputRounding | None:
    if "input_rounding" not in document:
        return None
    described = document["input_rounding"]
    cls = ROUNDING_KINDS[_text(described["kind"])]
    return cls(**{f.name: _array(described[f.name], archive, 0, _INPUT_TYPES) for f in dataclasses.fields(cls)})


def _domain(document: dict[str, Any], implied: Domain | None) -> Domain | None:
    """The stated domain; for a file of version 1, which states none, the domain that its levels imply."""
    if "input_domain" not in document:
        return implied
    described = document["input_domain"]
    if described is None:
        return None
    if type(described["features"]) is not bool:
        raise TypeError("the input domain's `features` is not true or false")
    return Domain(_real(described["low"]), _real(described["high"]), described["features"])


def _op(described: dict[str, Any], archive: zipfile.ZipFile) -> Op:
    cls = OP_KINDS[_text(described["kind"])]
    bits = archived_bits(_integer(described["weight_bits"])) if "weight_bits" in described else 8
    return cls(**_fields(cls, described, archive, bits))


def _fields(cls: type[Any], described: dict[str, Any], archive: zipfile.ZipFile, bits: int) -> dict[str, Any]:
    """Constructor arguments of dataclass `cls`, each checked against its annotation."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for f in dataclasses.fields(cls):
        raw = described[f.name]
        hint = hints[f.name]
        if hint is str:
            values[f.name] = _text(raw)
        elif hint is int:
            values[f.name] = _integer(raw)
        elif hint is float:
            values[f.name] = _real(raw)
        elif hint is Window:
            values[f.name] = Window(**{w.name: _pair(raw[w.name]) for w in dataclasses.fields(Window)})
        elif f.name == "requantize":
            kind = REQUANTIZE_KINDS[_text(raw["kind"])]
            values[f.name] = kind(**_fields(kind, raw, archive, 8))
        elif isinstance(raw, dict):
            values[f.name] = _array(raw, archive, bits if f.name == "weights" and bits < 8 else 0)
        elif hint == tuple[int, int]:
            values[f.name] = _pair(raw)
        elif hint == tuple[int, ...]:
            values[f.name] = tuple(_integer(item) for item in raw)
        else:
            values[f.name] = _texts(raw)
    return values


def _array(
    described: dict[str, Any], archive: zipfile.ZipFile, bits: int, types: tuple[str, ...] = _INTEGERS
) -> npt.NDArray[Any]:
    shape = tuple(_integer(n) for n in described["shape"])
    dtype = np.dtype(_text(described["dtype"]))
    if (
        dtype.str not in types
        or any(n < 0 for n in shape)
        or math.prod(shape) * dtype.itemsize > MAXIMUM_UNPACKED_BYTES
    ):
        raise ValueError(f"array {described['array']!r} has an impossible type or shape")
    array = read_array(archive, f"{_text(described['array'])}.npy", math.prod(shape) * dtype.itemsize)
    if bits:
        if array.dtype != np.uint8 or array.ndim != 1 or dtype != np.int8:
            raise ValueError(f"array {described['array']!r} is not bit-packed as stated")
        array = unpack_bits(array, bits, math.prod(shape)).reshape(shape)
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"array {described['array']!r} differs from its description")
    return array


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    # The directory's sizes are claims; reading stops at the limit whatever they are.
    with archive.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{name} is larger than allowed")
    return content


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1024:
        raise TypeError("a name is not a short text")
    return value


def _check_arrays(document: dict[str, Any]) -> None:
    """Check that each array is named once and all together fit: a small file may name a large array repeatedly."""
    named: set[str] = set()
    size = 0
    waiting: list[Any] = [document.get(key) for key in ("ops", *_SINCE_2)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and "array" in value:
            name = _text(value["array"])
            if name in named:
                raise ValueError(f"array {name!r} is used twice")
            named.add(name)
            size += math.prod(_integer(n) for n in value["shape"]) * np.dtype(_text(value["dtype"])).itemsize
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    if size > MAXIMUM_UNPACKED_BYTES:
        raise ValueError(f"its arrays have {size} bytes, more than the {MAXIMUM_UNPACKED_BYTES} allowed")


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("names are not a list")
    return tuple(_text(item) for item in value)


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a number is not an integer")
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError("a scale, bound or deviation is not a number")
    return float(value)


def _pair(value: Any) -> tuple[int, int]:
    first, second = value
    return _integer(first), _integer(second)


def _range(value: Any) -> tuple[float, float]:
    low, high = value
    return _real(low), _real(high)


def _check_version(path: Path, document: Any) -> None:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _damaged(path, "it is not a converted network")
    version = document.get("version")
    if type(version) is not int or version not in VERSIONS:
        raise StqError(
            f"the file has format version {version}, this stq-deploy reads versions 1 to {VERSION}",
            where=str(path),
            cause="it was written by another version of stq-deploy",
            next="convert the model again, or install the version that wrote it",
        )
    if version == 1 and not document.keys().isdisjoint(_SINCE_2):
        raise _damaged(path, f"it has version 1, and {' or '.join(_SINCE_2)}, which are of version 2")


def _damaged(path: Path, detail: str) -> StqError:
    return StqError(
        f"this is not a usable .stq network ({detail})",
        where=str(path),
        cause="the file is truncated, damaged, or something else under that name",
        next="make it again with `stq-deploy convert MODEL -o net.stq`",
    )


def _located(error: StqError, path: Path) -> StqError:
    where = f"{path}: {error.where}" if error.where else str(path)
    return StqError(error.what, where=where, cause=error.cause, next=error.next)
