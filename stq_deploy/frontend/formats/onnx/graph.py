"""An ONNX file's graph as typed objects, each of them checked for its own sake; all texts are untrusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from stq_deploy.common.untrusted_json import parse_json
from stq_deploy.frontend.formats.onnx.errors import damaged_onnx
from stq_deploy.sandbox import Contents

Scalar = int | float | str
AttributeValue = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class TensorAttribute:
    """An attribute that is a tensor; `path` names its array."""

    path: str


@dataclass(frozen=True)
class UnreadableAttribute:
    """An attribute of a kind that is not read, such as a graph."""

    what: str


@dataclass(frozen=True)
class OnnxInput:
    """An input or output; a dimension is None where it is not fixed."""

    name: str
    type: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One node.

    Attributes:
        name: as in the file; a name of our own, such as "Conv_3", where it has none.
        inputs: names of values; "" for one that is left out.
    """

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue | TensorAttribute | UnreadableAttribute]


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A graph.

    Attributes:
        opsets: domain -> version; "" is ONNX's own.
        nodes: in the file's order, in which every value is computed before it is read.
        arrays: path -> values, or why they cannot be used.
        types: path -> ONNX's name of an array's type.
    """

    name: str
    producer: str
    producer_version: str
    opsets: Mapping[str, int]
    inputs: tuple[OnnxInput, ...]
    outputs: tuple[OnnxInput, ...]
    nodes: tuple[OnnxNode, ...]
    arrays: Mapping[str, npt.NDArray[Any] | str]
    types: Mapping[str, str]


def read_graph(found: Contents) -> OnnxGraph:
    """The graph of a file as the sandbox has read it.

    Raises:
        StqError: the description contradicts itself.
    """
    try:
        described = parse_json(found.config)
        return _graph(described, found)
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError, OverflowError) as error:
        raise damaged_onnx(f"its graph is not as ONNX defines it ({str(error)[:100]})") from error


def _graph(described: Any, found: Contents) -> OnnxGraph:
    nodes = tuple(_node(entry, n) for n, entry in enumerate(described["nodes"]))
    opsets = {"" if domain == "ai.onnx" else _text(domain): _whole(version) for domain, version in described["opsets"]}
    return OnnxGraph(
        _text(described["name"]),
        _text(described["producer"]),
        _text(described["producer_version"]),
        opsets,
        tuple(_input(entry) for entry in described["inputs"]),
        tuple(_input(entry) for entry in described["outputs"]),
        nodes,
        found.arrays,
        {_text(path): _text(name) for path, name in described["types"].items()},
    )


def _input(entry: Any) -> OnnxInput:
    shape = tuple(n if type(n) is int and n > 0 else None for n in entry["shape"])
    return OnnxInput(_text(entry["name"]), _text(entry["type"]), shape)


def _node(entry: Any, number: int) -> OnnxNode:
    op, domain = _text(entry["op"]), _text(entry["domain"])
    return OnnxNode(
        op,
        "" if domain == "ai.onnx" else domain,
        _text(entry["name"]) or f"{op}_{number}",
        tuple(_text(name) for name in entry["inputs"]),
        tuple(_text(name) for name in entry["outputs"]),
        {_text(name): _attribute(value) for name, value in entry["attributes"].items()},
    )


def _attribute(value: Any) -> AttributeValue | TensorAttribute | UnreadableAttribute:
    if isinstance(value, dict):
        if "tensor" in value:
            return TensorAttribute(_text(value["tensor"]))
        return UnreadableAttribute(_text(value["unreadable"]))
    if isinstance(value, list):
        return tuple(_scalar(each) for each in value)
    return _scalar(value)


def _scalar(value: Any) -> Scalar:
    if type(value) is float and not math.isfinite(value):
        raise ValueError("an attribute is not a finite number")
    if type(value) not in (int, float, str):
        raise TypeError("an attribute is neither a number nor a text")
    return value  # type: ignore[no-any-return]  # mypy does not follow `type(value)`


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is not a text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a version is not a number")
    return value
