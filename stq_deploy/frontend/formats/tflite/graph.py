"""A .tflite file's graph as typed values, each of them checked; nothing here knows what an operator means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.untrusted_json import parse_json
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.formats.tflite.errors import damaged
from stq_deploy.network.tensor import MAXIMUM_ELEMENTS, fits
from stq_deploy.sandbox import Contents

_NUMPY = {
    "float32": "<f4", "float16": "<f2", "int8": "<i1", "uint8": "<u1", "int16": "<i2", "int32": "<i4", "int64": "<i8",
}  # fmt: skip
_ABSENT = -1


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """A tensor of the graph.

    Attributes:
        name: untrusted text.
        type: as `schema.TYPES` names it.
        shape: with the batch's axis, if it has one.
        scale: float32 numbers as float64: (), one, or one for each element along `axis`.
        zero_point: as many.
        data: the constant's values, of its shape; int4 as int8. None where the graph computes it.
        problem: why the constant cannot be used, or "".
    """

    name: str
    type: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int
    data: npt.NDArray[Any] | None
    problem: str

    @property
    def elements(self) -> int:
        """Number of elements, with the batch's axis."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class TfliteOperator:
    """An operator of the graph.

    Attributes:
        index: its position among all.
        kind: as `schema.OPERATORS` names it; a custom operator's own name, which is untrusted text.
        inputs: positions of tensors, -1 for one that is left out.
        options: setting -> number.
    """

    index: int
    kind: str
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, float]

    @property
    def name(self) -> str:
        """The layer's name: "conv_2d_3"."""
        kind = "custom" if self.custom else self.kind.lower().replace(" ", "_")
        return f"{kind}_{self.index}"

    def where(self) -> str:
        """Its place, for errors."""
        kind = f"custom operator {shown(self.kind)}" if self.custom else self.kind
        return f"operator {self.index} ({kind})"


@dataclass(frozen=True, eq=False)
class Graph:
    """The first graph of a file.

    Attributes:
        name, description: untrusted texts; the description is the writer's.
        inputs, outputs: positions of tensors.
    """

    name: str
    description: str
    version: int
    tensors: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(found: Contents) -> Graph:
    """The graph that the extractor has found.

    Raises:
        StqError: it contradicts itself.
    """
    try:
        return _graph(parse_json(found.config), found)
    except StqError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise damaged(f"its description cannot be read ({str(error)[:200]})") from error


def _graph(described: dict[str, Any], found: Contents) -> Graph:
    tensors = tuple(_tensor(entry, found) for entry in described["tensors"])
    operators = tuple(_operator(i, entry, len(tensors)) for i, entry in enumerate(described["operators"]))
    return Graph(
        str(described["name"]), str(described["description"]), int(described["version"]), tensors, operators,
        _positions(described["inputs"], len(tensors)), _positions(described["outputs"], len(tensors)),
    )  # fmt: skip


def _positions(values: Any, count: int, least: int = 0) -> tuple[int, ...]:
    positions = tuple(values)
    if not all(type(n) is int and least <= n < count for n in positions):
        raise damaged(f"it refers to tensors {shown(list(positions))}, of which there are {count}")
    return positions


def _operator(index: int, entry: dict[str, Any], count: int) -> TfliteOperator:
    options = {str(key): float(value) for key, value in entry["options"].items()}
    if not all(math.isfinite(value) for value in options.values()):
        raise damaged(f"an option of operator {index} is not a finite number")
    return TfliteOperator(
        index, str(entry["name"]), entry["code"] == 32, _positions(entry["inputs"], count, _ABSENT),
        _positions(entry["outputs"], count), options,
    )  # fmt: skip


def _tensor(entry: dict[str, Any], found: Contents) -> TfliteTensor:
    shape = tuple(int(n) for n in entry["shape"])
    if not all(0 <= n < 2**31 for n in shape) or math.prod(shape) > MAXIMUM_ELEMENTS:
        raise damaged(f"a tensor has the shape {shown(list(shape))}")
    scale, zero_point = tuple(map(float, entry["scale"])), tuple(map(int, entry["zero_point"]))
    if not all(fits("int32", n) for n in zero_point):
        raise damaged("a zero point does not fit 32 bits")
    data, problem = _constant(str(entry["type"]), shape, found.arrays.get(str(entry["buffer"])))
    if entry["sparse"]:
        data, problem = None, "its weights are stored as sparse ones"
    if entry["variable"]:
        problem = "it keeps its value from one inference to the next"
    return TfliteTensor(
        str(entry["name"]), str(entry["type"]), shape, scale, zero_point or (0,) * len(scale), int(entry["axis"]),
        data, problem,
    )  # fmt: skip


def _constant(type: str, shape: tuple[int, ...], stored: Any) -> tuple[npt.NDArray[Any] | None, str]:
    """(the values of a constant, why they cannot be used); (None, "") for a tensor that the graph computes."""
    if stored is None or isinstance(stored, str):
        return None, stored or ""
    raw, count = np.asarray(stored, np.uint8).reshape(-1), math.prod(shape)
    if type == "int4":
        if len(raw) != -(-count // 2):
            return None, f"has {len(raw)} bytes, its shape asks for {-(-count // 2)}"
        halves = np.stack([raw & 15, raw >> 4], axis=1).reshape(-1)[:count].astype(np.int8)
        return np.where(halves > 7, halves - 16, halves).astype(np.int8).reshape(shape), ""
    if type not in _NUMPY:
        return None, f"is of the type {type}"
    dtype = np.dtype(_NUMPY[type])
    if len(raw) != count * dtype.itemsize:
        return None, f"has {len(raw)} bytes, its shape asks for {count * dtype.itemsize}"
    return raw.view(dtype).reshape(shape), ""
