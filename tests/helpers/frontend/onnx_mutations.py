"""Damages and twists ONNX files; equally for equal random states.

`bytes` knows nothing of the form. `graph` rewrites nodes, attributes, inputs and shapes. `tensors` rewrites types,
shapes and numbers of constants. `messages` repeats, drops and moves whole messages between files, and adds functions,
external data and graphs within nodes. `polyglot` joins the file with one of another format.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

_NUMBERS = (-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 4, 16, 255, 4097, 2**20, 2**31 - 1, 2**40, 2**63 - 1)
_REALS = (0.0, -0.0, 1e-45, 1e-30, 0.5, 1.0, 3.0, 1e30, float("inf"), float("-inf"), float("nan"))
_TEXTS = (
    "",
    "x" * 5000,
    "../../etc/passwd",
    "\0",
    "\u202e",
    "名",
    "SAME_UPPER",
    "FLOOR",
    "nearest",
    "NOTSET",
    "{{}}",
)
_OPERATORS = (
    "Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "Mul", "Div", "Sub", "Concat", "Reshape", "Flatten", "Transpose",
    "Pad", "Resize", "MaxPool", "AveragePool", "GlobalAveragePool", "Softmax", "BatchNormalization", "Quant", "Trunc",
    "BipolarQuant", "QuantizeLinear", "DequantizeLinear", "Shape", "Gather", "Slice", "Range", "ConstantOfShape",
    "Constant", "Squeeze", "Unsqueeze", "ReduceMean", "LSTM", "If", "PyOp", "Identity", "Cast", "Upsample",
)  # fmt: skip
_DOMAINS = ("", "qonnx.custom_op.general", "onnx.brevitas", "ai.onnx.contrib", "os")


def mutate(seeds: list[bytes], state: random.Random) -> tuple[str, bytes]:
    """(name of the kind, a mutated file) from one of the seeds."""
    kind = state.choices([*MUTATIONS], (2, 4, 3, 1, 1))[0]
    return kind, MUTATIONS[kind](state.choice(seeds), state, seeds)


def _mutate_bytes(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    content = bytearray(seed)
    for _ in range(state.choice((1, 1, 2, 4, 16))):
        at = state.randrange(len(content) + 1)
        what = state.randrange(5)
        if what == 0 and at < len(content):
            content[at] ^= 1 << state.randrange(8)
        elif what == 1:
            content[at : at + state.choice((1, 2, 8))] = state.randbytes(state.choice((1, 2, 8)))
        elif what == 2:
            del content[at : at + state.choice((1, 4, 64))]
        elif what == 3:
            del content[max(at, 1) :]
        else:
            other = state.choice(seeds)
            start = state.randrange(len(other))
            content[at:at] = other[start : start + state.choice((4, 64, 1024))]
    return bytes(content) or b"\x08"


def _model(content: bytes) -> Any:
    from onnx import ModelProto

    return ModelProto.FromString(content)


def _mutate_graph(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    model = _model(seed)
    for _ in range(state.choice((1, 1, 2, 3))):
        _twist(model.graph, state)
    return _written(model)


def _twist(graph: Any, state: random.Random) -> None:
    node = state.choice(graph.node)
    what = state.randrange(9)
    names = [*(name for each in graph.node for name in (*each.input, *each.output)), "", "nothing"]
    if what == 0:
        node.op_type = state.choice(_OPERATORS)
    elif what == 1:
        node.domain = state.choice(_DOMAINS)
    elif what == 2 and node.input:
        node.input[state.randrange(len(node.input))] = state.choice(names)
    elif what == 3 and node.output:
        node.output[0] = state.choice(names)
    elif what == 4:
        node.input.append(state.choice(names))
    elif what == 5 and node.attribute:
        _change_attribute(state.choice(node.attribute), state)
    elif what == 6:
        source = state.choice(graph.node)
        node.attribute.extend(list(source.attribute))
    elif what == 7:
        node.name = state.choice(_TEXTS)
    else:
        _change_shape(state.choice([*graph.input, *graph.output]), state)


def _change_attribute(attribute: Any, state: random.Random) -> None:
    what = state.randrange(6)
    if what == 0:
        attribute.type = state.randrange(15)
    elif what == 1:
        attribute.i = state.choice(_NUMBERS)
    elif what == 2:
        attribute.f = state.choice(_REALS[:8])
    elif what == 3:
        attribute.s = state.choice(_TEXTS).encode("utf-8", "replace")
    elif attribute.ints:
        attribute.ints[state.randrange(len(attribute.ints))] = state.choice(_NUMBERS)
    else:
        attribute.ints.extend([state.choice(_NUMBERS)] * state.choice((1, 2, 5000)))


def _change_shape(value: Any, state: random.Random) -> None:
    tensor = value.type.tensor_type
    if tensor.shape.dim and state.random() < 0.6:
        dim = state.choice(tensor.shape.dim)
        if state.random() < 0.8:
            dim.dim_value = state.choice(_NUMBERS)
        else:
            dim.dim_param = state.choice(_TEXTS)
    elif state.random() < 0.5:
        tensor.elem_type = state.randrange(28)
    else:
        tensor.shape.dim.add().dim_value = state.choice(_NUMBERS)


def _mutate_tensors(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    model = _model(seed)
    for _ in range(state.choice((1, 1, 2, 3))):
        _change_tensor(state.choice(model.graph.initializer), state)
    return _written(model)


def _change_tensor(tensor: Any, state: random.Random) -> None:
    from onnx import numpy_helper

    what = state.randrange(7)
    if what == 0:
        tensor.data_type = state.randrange(28)
    elif what == 1:
        tensor.dims.append(state.choice(_NUMBERS))
    elif what == 2 and tensor.dims:
        tensor.dims[state.randrange(len(tensor.dims))] = state.choice(_NUMBERS)
    elif what == 3:
        tensor.raw_data = tensor.raw_data[: state.randrange(len(tensor.raw_data) + 1)]
    elif what == 4:
        tensor.data_location = state.choice((0, 1))
        tensor.external_data.add(key="location", value=state.choice(("/etc/passwd", "weights.bin", "..")))
    else:
        try:
            values = np.array(numpy_helper.to_array(tensor))
        except Exception:  # damaged before
            return
        if values.size and values.dtype.kind in "fiu":
            at = state.randrange(values.size)
            number = state.choice(_REALS) if values.dtype.kind == "f" else state.choice(_NUMBERS[4:12])
            with np.errstate(all="ignore"):
                values.reshape(-1)[at] = np.array(number).astype(values.dtype)
                if state.random() < 0.3:
                    values[...] = np.array(number).astype(values.dtype)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _mutate_messages(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    model, other = _model(seed), _model(state.choice(seeds))
    graph = model.graph
    what = state.randrange(7)
    if what == 0:
        graph.node.extend([state.choice(graph.node)] * state.choice((1, 5, 5000)))
    elif what == 1:
        del graph.node[state.randrange(len(graph.node))]
    elif what == 2:
        graph.node.extend(other.graph.node)
        graph.initializer.extend(other.graph.initializer)
    elif what == 3:
        model.functions.add(name="Relu", domain=state.choice(_DOMAINS)).node.extend(graph.node)
    elif what == 4:
        state.choice(graph.node).attribute.add(name="body", type=5).g.CopyFrom(other.graph)
    elif what == 5:
        model.opset_import[0].version = state.choice(_NUMBERS)
    else:
        graph.sparse_initializer.add().dims.extend([state.choice(_NUMBERS)])
    return _written(model)


def _mutate_polyglot(seed: bytes, state: random.Random, seeds: list[bytes]) -> bytes:
    other = state.choice((b"PK\x03\x04" + state.randbytes(40), b"\x89HDF\r\n\x1a\n" + state.randbytes(40),
                          b"\x1c\x00\x00\x00TFL3" + bytes(40), state.choice(seeds)))  # fmt: skip
    return other + seed if state.random() < 0.5 else seed + other


def _written(model: Any) -> bytes:
    content: bytes = model.SerializeToString()
    return content


MUTATIONS: dict[str, Callable[[bytes, random.Random, list[bytes]], bytes]] = {
    "bytes": _mutate_bytes,
    "graph": _mutate_graph,
    "tensors": _mutate_tensors,
    "messages": _mutate_messages,
    "polyglot": _mutate_polyglot,
}
