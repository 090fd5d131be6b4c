"""Make tests/data/tflite_cases.npz: small .tflite files, and what TensorFlow Lite's reference interpreter gives.

    python tools/tflite_cases.py tests/data/tflite_cases.npz

A case is a model of one or a few operators with random weights and scales. The file holds each model's bytes
(`NAME.model`), inputs (`NAME.x`) and outputs (`NAME.y`). Where the last operator is a softmax, they are its inputs. The
tests compare the integer network with these outputs, and need no TensorFlow.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import ARRAYS, kind_of_file
from stq_deploy.common.files import check_output, write_whole

INT8, INT4, INT32, FLOAT, UINT8 = 9, 17, 2, 0, 3
_CODES = {
    "ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 9, "LOGISTIC": 14, "MAX_POOL_2D": 17, "MUL": 18, "RELU": 19, "RELU6": 21, "RESHAPE": 22,
    "SOFTMAX": 25, "TANH": 28, "PAD": 34, "MEAN": 40, "SUB": 41, "LEAKY_RELU": 98, "QUANTIZE": 114,
}  # fmt: skip
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1, "QUANTIZE": 1}


@dataclass
class Case:
    """A model that is being made, tensor by tensor.

    Attributes:
        samples: inputs to compare on; None draws them.
    """

    rng: np.random.Generator
    tensors: list[Any] = field(default_factory=list)
    buffers: list[bytes] = field(default_factory=lambda: [b""])
    operators: list[Any] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    samples: npt.NDArray[Any] | None = None
    reads: int | None = None

    def tensor(
        self,
        shape: Sequence[int],
        type: int = INT8,
        scale: Any = None,
        zero: Any = None,
        data: Any = None,
        axis: int = 0,
    ) -> int:
        """A new tensor; one without a scale of its own gets a random one."""
        from tensorflow.lite.python import schema_py_generated as schema

        tensor = schema.TensorT()
        tensor.name = f"tensor_{len(self.tensors)}"
        tensor.shape, tensor.type, tensor.buffer = list(shape), type, 0
        if data is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(data)
        if type in (INT8, INT4, UINT8) or scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            scale = float(self.rng.uniform(0.01, 0.2)) if scale is None else scale
            zero = int(self.rng.integers(-60, 60)) if zero is None else zero
            tensor.quantization.scale = np.atleast_1d(np.float32(scale)).tolist()
            tensor.quantization.zeroPoint = np.broadcast_to(zero, len(tensor.quantization.scale)).tolist()
            tensor.quantization.quantizedDimension = axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def scale(self, n: int) -> float:
        return float(self.tensors[n].quantization.scale[0])

    def weights(self, shape: Sequence[int], channels_axis: int, channels: int, bits: int = 8) -> int:
        """Random weights with a scale for each channel, or one for all where `channels` is 1."""
        scale = self.rng.uniform(0.001, 0.02, channels)
        top = 2 ** (bits - 1) - 1
        values = self.rng.integers(-top, top + 1, shape).astype(np.int8)
        data = values.tobytes()
        if bits == 4:
            flat = np.append(values.reshape(-1), [0] * (values.size % 2)).astype(np.uint8) & 15
            data = (flat[::2] | flat[1::2] << 4).astype(np.uint8).tobytes()
        return self.tensor(shape, INT4 if bits == 4 else INT8, scale, 0, data, channels_axis)

    def bias(self, x: int, w: int, count: int, spread: int = 3000) -> int:
        scale = np.float32(self.scale(x)) * np.array(self.tensors[w].quantization.scale, np.float32)
        values = self.rng.integers(-spread, spread, count).astype(np.int32)
        return self.tensor((count,), INT32, scale, 0, values.tobytes())

    def constant(self, values: Sequence[Any]) -> int:
        array = np.array(values, np.int32)
        return self.tensor(array.shape, INT32, data=array.tobytes())

    def operate(self, name: str, inputs: Sequence[int], output: int, options: str = "", **settings: Any) -> int:
        from tensorflow.lite.python import schema_py_generated as schema

        operator = schema.OperatorT()
        if name not in self.codes:
            self.codes.append(name)
        operator.opcodeIndex = self.codes.index(name)
        operator.inputs, operator.outputs = list(inputs), [output]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, options + "T")()
            for key, value in settings.items():
                setattr(operator.builtinOptions, key, value)
        self.operators.append(operator)
        return output

    def build(self, x: int, y: int) -> bytes:
        """The file's bytes, for a model from tensor x to tensor y."""
        from tensorflow.lite.python import schema_py_generated as schema
        from tensorflow.lite.tools import flatbuffer_utils

        model, graph = schema.ModelT(), schema.SubGraphT()
        model.version, model.description = 3, "stq-deploy's test cases"
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, [x], [y]
        graph.name = "case"
        model.subgraphs, model.buffers, model.operatorCodes = [graph], [], []
        for data in self.buffers:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8) if data else None
            model.buffers.append(buffer)
        for name in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = _CODES[name]
            code.deprecatedBuiltinCode = min(_CODES[name], 127)
            code.version = _VERSIONS.get(name, 2)
            model.operatorCodes.append(code)
        return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _convolve(case: Case, activation: int, per_channel: bool, bits: int = 8, groups: int = 1) -> tuple[int, int]:
    x = case.tensor((1, 5, 6, 4))
    channels = 6
    w = case.weights((channels, 3, 2, 4 // groups), 0, channels if per_channel else 1, bits)
    y = case.tensor((1, 3, 3, channels), scale=case.rng.uniform(0.02, 0.09))
    case.operate(
        "CONV_2D", (x, w, case.bias(x, w, channels)), y, "Conv2DOptions", padding=0, strideW=2, strideH=2,
        dilationWFactor=1, dilationHFactor=1, fusedActivationFunction=activation,
    )  # fmt: skip
    return x, y


def _depthwise(case: Case, multiplier: int) -> tuple[int, int]:
    x = case.tensor((1, 6, 5, 3))
    w = case.weights((1, 3, 3, 3 * multiplier), 3, 3 * multiplier)
    y = case.tensor((1, 4, 3, 3 * multiplier), scale=case.rng.uniform(0.01, 0.05))
    case.operate(
        "DEPTHWISE_CONV_2D", (x, w, case.bias(x, w, 3 * multiplier, 500)), y, "DepthwiseConv2DOptions", padding=1,
        strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1, depthMultiplier=multiplier,
    )  # fmt: skip
    return x, y


def _dense(case: Case, per_channel: bool, bits: int = 8) -> tuple[int, int]:
    x = case.tensor((1, 24))
    w = case.weights((7, 24), 0, 7 if per_channel else 1, bits)
    y = case.tensor((1, 7), scale=case.rng.uniform(0.15, 0.5))
    case.operate("FULLY_CONNECTED", (x, w, case.bias(x, w, 7)), y, "FullyConnectedOptions")
    return x, y


def _pool(case: Case, name: str, size: tuple[int, int], padding: int, activation: int = 0) -> tuple[int, int]:
    x = case.tensor((1, 7, 6, 3))
    stride = 2
    rows, columns = (
        (-(-n // stride) if padding == 0 else (n - k) // stride + 1) for n, k in zip((7, 6), size, strict=True)
    )
    grid = case.tensors[x].quantization
    y = case.tensor((1, rows, columns, 3), scale=grid.scale[0], zero=grid.zeroPoint[0])
    case.operate(
        name, (x,), y, "Pool2DOptions", padding=padding, strideW=stride, strideH=stride, filterHeight=size[0],
        filterWidth=size[1], fusedActivationFunction=activation,
    )  # fmt: skip
    return x, y


def _mean(case: Case, keep: bool, size: tuple[int, int]) -> tuple[int, int]:
    x = case.tensor((1, *size, 3))
    y = case.tensor((1, 1, 1, 3) if keep else (1, 3), scale=case.scale(x) * float(case.rng.uniform(0.3, 1.2)))
    case.operate("MEAN", (x, case.constant([1, 2])), y, "ReducerOptions", keepDims=keep)
    return x, y


def _two(case: Case, name: str, options: str, activation: int, ratio: float | None = None) -> tuple[int, int]:
    """An operator on two functions of the input, so that many pairs of levels meet."""
    x = case.tensor((1, 4, 4, 8))
    a = case.tensor((1, 4, 4, 8), scale=None if ratio is None else case.scale(x))
    b = case.tensor((1, 4, 4, 8), scale=None if ratio is None else case.scale(x) * ratio)
    for y in (a, b):
        w = case.weights((8, 1, 1, 8), 0, 8)
        case.operate(
            "CONV_2D", (x, w, case.bias(x, w, 8)), y, "Conv2DOptions", padding=1, strideW=1, strideH=1,
            dilationWFactor=1, dilationHFactor=1,
        )  # fmt: skip
    product = case.scale(a) * case.scale(b) * 60 if name == "MUL" else max(case.scale(a), case.scale(b)) * 1.3
    y = case.tensor((1, 4, 4, 8), scale=product)
    case.operate(name, (a, b), y, options, fusedActivationFunction=activation)
    return x, y


def _one(
    case: Case, name: str, options: str = "", output: tuple[float, int] | None = None, **settings: Any
) -> tuple[int, int]:
    x = case.tensor((1, 16, 16))
    scale, zero = output or (case.scale(x) * float(case.rng.uniform(0.4, 1.6)), int(case.rng.integers(-40, 40)))
    y = case.tensor((1, 16, 16), scale=scale, zero=zero)
    case.operate(name, (x,), y, options, **settings)
    case.samples = np.arange(-128, 128).astype(np.int8).reshape(1, 16, 16)
    return x, y


def _moves(case: Case) -> tuple[int, int]:
    """PAD, CONCATENATION and RESHAPE of one grid."""
    x = case.tensor((1, 3, 3, 2))
    grid = case.tensors[x].quantization
    same = {"scale": grid.scale[0], "zero": grid.zeroPoint[0]}
    padded = case.tensor((1, 5, 4, 2), **same)
    case.operate("PAD", (x, case.constant([[0, 0], [1, 1], [0, 1], [0, 0]])), padded, "PadOptions")
    joined = case.tensor((1, 5, 4, 4), **same)
    case.operate("CONCATENATION", (padded, padded), joined, "ConcatenationOptions", axis=3)
    y = case.tensor((1, 80), **same)
    case.operate("RESHAPE", (joined, case.constant([1, 80])), y, "ReshapeOptions", newShape=[1, 80])
    return x, y


def _float_ends(case: Case) -> tuple[int, int]:
    """Real numbers quantized first and made real again at the end."""
    x = case.tensor((1, 24), FLOAT)
    levels = case.tensor((1, 24), scale=0.0473, zero=11)
    case.operate("QUANTIZE", (x,), levels)
    w = case.weights((5, 24), 0, 5)
    y = case.tensor((1, 5))
    case.operate("FULLY_CONNECTED", (levels, w, case.bias(levels, w, 5)), y, "FullyConnectedOptions")
    out = case.tensor((1, 5), FLOAT)
    case.operate("DEQUANTIZE", (y,), out)
    # Ties of the quotient, and the float32 numbers beside them.
    ties = (np.arange(-140, 140) + np.float32(0.5)).astype(np.float32) * np.float32(0.0473)
    near = np.concatenate([ties, np.nextafter(ties, np.float32(-9)), np.nextafter(ties, np.float32(9))])
    case.samples = np.resize(near, (36, 24)).astype(np.float32)
    return x, out


def _unsigned(case: Case) -> tuple[int, int]:
    """An image of bytes, and a softmax at the end."""
    x = case.tensor((1, 24), UINT8, scale=1 / 128, zero=128)
    levels = case.tensor((1, 24), scale=1 / 128, zero=0)
    case.operate("QUANTIZE", (x,), levels)
    w = case.weights((4, 24), 0, 1)
    y = case.tensor((1, 4))
    case.operate("FULLY_CONNECTED", (levels, w, case.bias(levels, w, 4)), y, "FullyConnectedOptions")
    out = case.tensor((1, 4), scale=1 / 256, zero=-128)
    case.operate("SOFTMAX", (y,), out, "SoftmaxOptions", beta=1.0)
    case.reads = y
    return x, out


CASES: dict[str, Callable[[Case], tuple[int, int]]] = {
    "conv": lambda case: _convolve(case, 0, True),
    "conv_relu": lambda case: _convolve(case, 1, True),
    "conv_relu6_tensor": lambda case: _convolve(case, 3, False),
    "conv_int4": lambda case: _convolve(case, 0, True, bits=4),
    "conv_groups": lambda case: _convolve(case, 0, True, groups=2),
    "depthwise": lambda case: _depthwise(case, 1),
    "depthwise_multiplier": lambda case: _depthwise(case, 2),
    "dense": lambda case: _dense(case, False),
    "dense_channels": lambda case: _dense(case, True),
    "dense_int4": lambda case: _dense(case, False, bits=4),
    "average": lambda case: _pool(case, "AVERAGE_POOL_2D", (2, 2), 1),
    "average_same": lambda case: _pool(case, "AVERAGE_POOL_2D", (3, 2), 0, 1),
    "average_even": lambda case: _pool(case, "AVERAGE_POOL_2D", (6, 6), 1),
    "maximum": lambda case: _pool(case, "MAX_POOL_2D", (3, 3), 0, 3),
    "mean": lambda case: _mean(case, False, (5, 7)),
    "mean_kept": lambda case: _mean(case, True, (6, 8)),
    "add": lambda case: _two(case, "ADD", "AddOptions", 0),
    "add_relu": lambda case: _two(case, "ADD", "AddOptions", 1),
    "add_equal": lambda case: _two(case, "ADD", "AddOptions", 0, 1.0),
    "add_far": lambda case: _two(case, "ADD", "AddOptions", 0, 0.0137),
    "subtract": lambda case: _two(case, "SUB", "SubOptions", 0),
    "multiply": lambda case: _two(case, "MUL", "MulOptions", 0),
    "relu": lambda case: _one(case, "RELU"),
    "relu6": lambda case: _one(case, "RELU6"),
    "leaky": lambda case: _one(case, "LEAKY_RELU", "LeakyReluOptions", alpha=0.13),
    "sigmoid": lambda case: _one(case, "LOGISTIC", output=(1 / 256, -128)),
    "tanh": lambda case: _one(case, "TANH", output=(1 / 128, 0)),
    "requantize": lambda case: _one(case, "QUANTIZE"),
    "moves": _moves,
    "float_ends": _float_ends,
    "unsigned": _unsigned,
}


@click.command()
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--seed", default=20)
def main(destination: Path, seed: int) -> None:
    """Write DESTINATION (.npz)."""
    try:
        check_output(
            destination, what="a file of cases (.npz)", recognize=lambda path: kind_of_file(path) is ARRAYS,
            force_option=False,
        )  # fmt: skip
    except StqError as error:
        raise click.ClickException(str(error)) from error
    import tensorflow as tf

    arrays: dict[str, npt.NDArray[Any]] = {}
    for i, (name, make) in enumerate(CASES.items()):
        case = Case(np.random.default_rng([seed, i]))
        x, y = make(case)
        content = case.build(x, y)
        interpreter = tf.lite.Interpreter(
            model_content=content, experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        )  # fmt: skip
        interpreter.allocate_tensors()
        shape = case.tensors[x].shape
        low, high = (0, 256) if case.tensors[x].type == UINT8 else (-128, 128)
        samples = case.rng.integers(low, high, (12, *shape[1:])) if case.samples is None else case.samples
        samples = samples.astype(interpreter.get_input_details()[0]["dtype"])
        found = []
        for sample in samples:
            interpreter.set_tensor(x, sample.reshape(shape))
            interpreter.invoke()
            found.append(interpreter.get_tensor(y if case.reads is None else case.reads)[0].copy())
        arrays |= {
            f"{name}.model": np.frombuffer(content, np.uint8),
            f"{name}.x": samples,
            f"{name}.y": np.stack(found),
        }
    memory = io.BytesIO()
    compress: Any = np.savez_compressed  # its keywords are the arrays
    compress(memory, **arrays)
    write_whole(destination, memory.getvalue())
    click.echo(f"{destination}: {len(CASES)} cases, {len(memory.getvalue()):,} bytes")


if __name__ == "__main__":
    main()
