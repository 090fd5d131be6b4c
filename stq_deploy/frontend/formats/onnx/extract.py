"""The content of an ONNX file as plain values: its graph as JSON text, and its tensors.

Only this code passes a file to the protobuf library of `onnx`. It uses the messages alone: no checker, no shape
inference, and no reading of external data, which would open other files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from onnx import ModelProto

from stq_deploy.sandbox.extract import Extract
from stq_deploy.sandbox.limits import MAXIMUM_ARRAY_BYTES, MAXIMUM_ARRAYS, Unusable

MAXIMUM_NODES = 4096
_MAXIMUM_ENTRIES = 4096  # in one list of a node: its inputs, its attributes, or an attribute's numbers
_MAXIMUM_RANK = 16
_EXTERNAL = 1  # TensorProto.EXTERNAL

# TensorProto.DataType -> its name, the type of raw_data, and the field that holds it otherwise.
_TYPES: dict[int, tuple[str, str, str]] = {
    1: ("float32", "<f4", "float_data"),
    2: ("uint8", "|u1", "int32_data"),
    3: ("int8", "|i1", "int32_data"),
    4: ("uint16", "<u2", "int32_data"),
    5: ("int16", "<i2", "int32_data"),
    6: ("int32", "<i4", "int32_data"),
    7: ("int64", "<i8", "int64_data"),
    9: ("bool", "|b1", "int32_data"),
    11: ("float64", "<f8", "double_data"),
    21: ("uint4", "|u1", "int32_data"),
    22: ("int4", "|i1", "int32_data"),
}
_OTHER_TYPES = {8: "string", 10: "float16", 12: "uint32", 13: "uint64", 16: "bfloat16", 25: "uint2", 26: "int2"}
_NIBBLES = ("uint4", "int4")
# AttributeProto.AttributeType -> the field that holds it.
_PLAIN = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints", 8: "strings"}
_TENSOR = 4
_NO_VALUE = {5: "a graph", 9: "several tensors", 10: "several graphs", 11: "a sparse tensor"}


def extract(content: bytes) -> Extract:
    """Read an ONNX file's bytes.

    The header's `config` is a JSON object. It has `ir_version`, `producer`, `producer_version`, `name`, and `opsets`,
    pairs of domain and version. `inputs` and `outputs` have `name`, `type` and `shape`; a dimension is a number, or a
    text where it is not fixed. `nodes` have `op`, `domain`, `name`, `inputs`, `outputs` and `attributes`; a tensor in
    an attribute is `{"tensor": path of the array}`. `types`: path of an array -> ONNX's name of its type.

    Raises:
        Unusable: the whole file is. Nothing else is raised, except by a fault of the protobuf library.
    """
    try:
        return _described(ModelProto.FromString(content))
    except Unusable:
        raise
    except MemoryError as error:
        raise Unusable("it asks for more memory than any model file needs") from error
    except DecodeError as error:
        raise Unusable("its protobuf message is truncated or damaged") from error
    except Exception as error:  # as for the other formats: the library may raise any kind, depending on the damage
        raise Unusable(f"{type(error).__name__}: {str(error)[:200]}") from error


def _described(model: Any) -> Extract:
    if model.functions:
        raise Unusable("it defines functions of its own, which are not read: inline them when you export the model")
    graph = model.graph
    if graph.sparse_initializer:
        raise Unusable("it has sparse tensors, which are not read")
    if len(graph.node) > MAXIMUM_NODES:
        raise Unusable(f"it has more than the {MAXIMUM_NODES} nodes allowed")
    if len(graph.initializer) > MAXIMUM_ARRAYS:
        raise Unusable(f"it has more than the {MAXIMUM_ARRAYS} arrays allowed")
    tensors: list[tuple[str, Any]] = [(f"initializer/{tensor.name}", tensor) for tensor in graph.initializer]
    described: dict[str, Any] = {
        "ir_version": model.ir_version,
        "producer": model.producer_name,
        "producer_version": model.producer_version,
        "name": graph.name,
        "opsets": [[opset.domain, opset.version] for opset in _few(model.opset_import)],
        "inputs": [_value(value) for value in _few(graph.input)],
        "outputs": [_value(value) for value in _few(graph.output)],
        "nodes": [_node(node, n, tensors) for n, node in enumerate(graph.node)],
    }
    described["types"] = {path: _type_name(tensor.data_type) for path, tensor in tensors}
    found = Extract(json.dumps(described))
    for path, tensor in tensors:
        _take(found, path, tensor)
    return found


def _few(entries: Any) -> Iterable[Any]:
    if len(entries) > _MAXIMUM_ENTRIES:
        raise Unusable(f"a list has more than the {_MAXIMUM_ENTRIES} entries allowed")
    return list(entries)


def _value(value: Any) -> dict[str, Any]:
    """Name, type and shape of an input or output."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return {"name": value.name, "type": str(kind), "shape": []}
    tensor = value.type.tensor_type
    shape = [
        dim.dim_value if dim.WhichOneof("value") == "dim_value" else str(dim.dim_param)
        for dim in _few(tensor.shape.dim)
    ]
    return {"name": value.name, "type": _type_name(tensor.elem_type), "shape": shape}


def _type_name(number: int) -> str:
    return _TYPES[number][0] if number in _TYPES else _OTHER_TYPES.get(number, f"type {number}")


def _node(node: Any, number: int, tensors: list[tuple[str, Any]]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for attribute in _few(node.attribute):
        if attribute.ref_attr_name or attribute.type in _NO_VALUE or attribute.type not in (*_PLAIN, _TENSOR):
            attributes[attribute.name] = {"unreadable": _NO_VALUE.get(attribute.type, "a value of an unknown type")}
        elif attribute.type == _TENSOR:
            path = f"node/{number}/{attribute.name}"
            if len(tensors) == MAXIMUM_ARRAYS:
                raise Unusable(f"it has more than the {MAXIMUM_ARRAYS} arrays allowed")
            tensors.append((path, attribute.t))
            attributes[attribute.name] = {"tensor": path}
        else:
            value = getattr(attribute, _PLAIN[attribute.type])
            plural = attribute.type >= 6
            attributes[attribute.name] = [_plain(each) for each in _few(value)] if plural else _plain(value)
    return {
        "op": node.op_type,
        "domain": node.domain,
        "name": node.name,
        "inputs": list(_few(node.input)),
        "outputs": list(_few(node.output)),
        "attributes": attributes,
    }


def _plain(value: Any) -> Any:
    """A number or text; NaN and infinities as texts, which JSON lacks."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _take(found: Extract, path: str, tensor: Any) -> None:
    problem, values = _array(tensor)
    if values is None:
        found.refuse(path, problem)
    else:
        found.put(path, values)


def _array(tensor: Any) -> tuple[str, npt.NDArray[Any] | None]:
    """(why a tensor cannot be used, or ""; its values)."""
    if tensor.data_location == _EXTERNAL or tensor.external_data:
        return "is stored outside the file; save the model with its weights inside", None
    if tensor.HasField("segment"):
        return "is stored in pieces", None
    if tensor.data_type not in _TYPES:
        return f"is of the type {_type_name(tensor.data_type)}, which is not read", None
    shape = tuple(tensor.dims)
    if len(shape) > _MAXIMUM_RANK or any(n < 0 for n in shape):
        return f"has the shape {str(shape)[:80]}", None
    count = math.prod(shape)
    if count * 4 > MAXIMUM_ARRAY_BYTES:
        return f"has the shape {str(shape)[:80]}, more than the {MAXIMUM_ARRAY_BYTES} bytes allowed", None
    name, raw_type, typed_field = _TYPES[tensor.data_type]
    if tensor.HasField("raw_data"):
        stored = -(-count // 2) if name in _NIBBLES else count
        if len(tensor.raw_data) != stored * np.dtype(raw_type).itemsize:
            return f"holds {len(tensor.raw_data)} bytes, its shape asks for other", None
        values = np.frombuffer(tensor.raw_data, raw_type if name not in _NIBBLES else "|u1")
    else:
        stored = -(-count // 2) if name in _NIBBLES else count
        listed = getattr(tensor, typed_field)
        if len(listed) != stored:
            return f"holds {len(listed)} numbers, its shape asks for {stored}", None
        with np.errstate(all="ignore"):
            values = np.array(listed, dtype="<f8" if typed_field in ("float_data", "double_data") else "<i8")
            values = values.astype("|u1" if name in _NIBBLES else raw_type)
    if name in _NIBBLES:
        values = _nibbles(values, name == "int4")[:count]
    return "", values.reshape(shape)


def _nibbles(packed: npt.NDArray[np.uint8], signed: bool) -> npt.NDArray[Any]:
    """Two 4-bit numbers a byte, the first in the low bits."""
    pairs = np.stack([packed & 15, packed >> 4], axis=-1).ravel()
    return ((pairs ^ 8).astype(np.int8) - 8) if signed else pairs
