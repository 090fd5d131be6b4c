"""The content of a .tflite file as plain values: a description in JSON, and the constants' bytes.

It runs in the process of its own, although it is Python that checks every offset (`flatbuffer`). A hostile file may
still ask for much time or memory.

The description is an object:

description  text of the writer
version      of the schema
subgraphs    their number
inputs       positions of tensors
outputs      positions of tensors
operators    list of {code, name, version, inputs, outputs, options, options_kind}
tensors      list of {name, type, shape, signature, buffer, scale, zero_point, axis, sparse, variable}

The bytes of buffer n are the array "n", uint8.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from stq_deploy.frontend.formats.tflite.flatbuffer import FlatTable
from stq_deploy.frontend.formats.tflite.schema import CUSTOM, IDENTIFIER, OPERATORS, OPTIONS, TYPES
from stq_deploy.sandbox.extract import Extract
from stq_deploy.sandbox.limits import MAXIMUM_ARRAY_BYTES, MAXIMUM_ARRAYS, Unusable

_MAXIMUM_OPERATORS = 4096
_MAXIMUM_RANK = 8
_MAXIMUM_ENDS = 256  # inputs or outputs of an operator, or of the model
_MAXIMUM_CHANNELS = 1 << 20
_OUTSIDE = "its data lie outside the FlatBuffer, as in files above 2 GB"


def extract(content: bytes) -> Extract:
    """Read a model file's bytes.

    Raises:
        Unusable: the file is damaged or hostile.
    """
    if content[4:8] != IDENTIFIER:
        raise Unusable(f"it lacks the mark {IDENTIFIER.decode()} of TensorFlow Lite")
    model = FlatTable.root(content)
    graphs = model.tables(2, _MAXIMUM_OPERATORS)
    if not graphs:
        raise Unusable("it holds no graph")
    codes = [_code(table) for table in model.tables(1, _MAXIMUM_OPERATORS)]
    buffers = model.tables(4, 2 * MAXIMUM_ARRAYS)
    graph = graphs[0]
    tensors = [_tensor(table) for table in graph.tables(0, MAXIMUM_ARRAYS)]
    found = Extract(
        json.dumps(
            {
                "version": model.integer(0, "uint32"),
                "description": model.text(3),
                "subgraphs": len(graphs),
                "name": graph.text(4),
                "inputs": graph.integers(1, "int32", _MAXIMUM_ENDS),
                "outputs": graph.integers(2, "int32", _MAXIMUM_ENDS),
                "operators": [_operator(table, codes) for table in graph.tables(3, _MAXIMUM_OPERATORS)],
                "tensors": tensors,
            },
            allow_nan=True,
        )
    )
    for n in dict.fromkeys(tensor["buffer"] for tensor in tensors):
        _take(found, buffers, n)
    return found


def _code(table: FlatTable) -> dict[str, Any]:
    # Files of early writers have only the field of one byte. Later ones have both, and the larger one holds.
    code = max(table.integer(0, "int8"), table.integer(3, "int32"))
    name = table.text(1) if code == CUSTOM else OPERATORS.get(code, f"operator {code}")
    return {"code": code, "name": name, "version": table.integer(2, "int32", 1)}


def _operator(table: FlatTable, codes: list[dict[str, Any]]) -> dict[str, Any]:
    index = table.integer(0, "uint32")
    if index >= len(codes):
        raise Unusable(f"an operator is of kind {index}, of which there are {len(codes)}")
    code = codes[index]
    stated, kind = table.table(4), table.integer(3, "uint8")
    options: dict[str, Any] = {}
    expected, known = OPTIONS.get(code["name"], (0, {}))
    if stated is not None and kind == expected:
        options = {name: stated.number(option.slot, option.kind, option.default) for name, option in known.items()}
    elif stated is not None and known:
        raise Unusable(f"an operator {code['name']} has the options of another one")
    elif known:
        options = {name: option.default for name, option in known.items()}
    return {
        **code,
        "inputs": table.integers(1, "int32", _MAXIMUM_ENDS),
        "outputs": table.integers(2, "int32", _MAXIMUM_ENDS),
        "options": options,
    }


def _tensor(table: FlatTable) -> dict[str, Any]:
    quantization = table.table(4)
    scale: list[int | float] = []
    zero_point: list[int] = []
    axis = 0
    if quantization is not None:
        scale = quantization.numbers(2, "float32", _MAXIMUM_CHANNELS) or []
        zero_point = quantization.integers(3, "int64", _MAXIMUM_CHANNELS)
        axis = quantization.integer(6, "int32")
    code = table.integer(1, "int8")
    return {
        "name": table.text(3),
        "type": TYPES.get(code, f"type {code}"),
        "shape": table.integers(0, "int32", _MAXIMUM_RANK),
        "signature": table.integers(7, "int32", _MAXIMUM_RANK),
        "buffer": table.integer(2, "uint32"),
        "scale": [float(number) if math.isfinite(number) else 0.0 for number in scale],
        "zero_point": zero_point,
        "axis": axis,
        "sparse": table.table(6) is not None,
        "variable": bool(table.integer(5, "uint8")),
    }


def _take(found: Extract, buffers: list[FlatTable], n: int) -> None:
    """Take buffer n, if it has data."""
    if n >= len(buffers):
        found.refuse(str(n), f"is absent: the file has {len(buffers)} buffers")
        return
    if buffers[n].integer(1, "int64") > 1:
        found.refuse(str(n), _OUTSIDE)
        return
    data = buffers[n].data(0, MAXIMUM_ARRAY_BYTES)
    if data:
        found.put(str(n), np.frombuffer(data, np.uint8))
