"""Translates a graph's operators, one after the other, into nodes; each handler gets an `OperatorReader`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.formats.interface import FileFacts
from stq_deploy.frontend.formats.tflite.arithmetic import ACTIVATIONS, LevelGrid, UnusableScale
from stq_deploy.frontend.formats.tflite.errors import damaged
from stq_deploy.frontend.formats.tflite.graph import Graph, TfliteOperator, TfliteTensor
from stq_deploy.frontend.formats.tflite.schema import ACTIVATIONS as ACTIVATION_NAMES
from stq_deploy.frontend.formats.tflite.schema import PADDINGS
from stq_deploy.frontend.layer_table import NOT_REACHED, description
from stq_deploy.frontend.parsed import ListedModel, ParsedModel
from stq_deploy.frontend.quantizers import affine_quantizer
from stq_deploy.frontend.source import (
    ClipNode,
    FloatBias,
    FloatKernel,
    InputNode,
    IntegerKernel,
    Node,
    PassNode,
    QuantizeNode,
    ReshapeNode,
)
from stq_deploy.network.ops import Window
from stq_deploy.network.ops.weighted import fits_bits
from stq_deploy.network.source_layer import InspectedLayer

POST_TRAINING = "add --post-training int8 --calibrate SAMPLES.npz"
INT8 = "convert the model to int8 with TensorFlow Lite's converter, or give the float model with --post-training int8"
_FINEST, _COARSEST = 2.0**-60, 2.0**60
_LARGEST_WINDOW = 1 << 16

Shape = tuple[int, ...]
N = TypeVar("N", bound=Node)


@dataclass(frozen=True)
class TfliteHandler:
    """How operators of a kind are read.

    Attributes:
        read: translates one.
        floats, integers: steps that it becomes, by type of the values: classes of `source` without "Node". None where
            it is refused.
    """

    read: Callable[[OperatorReader], None]
    floats: tuple[str, ...] | None
    integers: tuple[str, ...] | None


class Walk:
    """The nodes so far, and which of them computes each tensor.

    Attributes:
        float_error: the first operator whose weights or values are floating-point numbers, as an error.
    """

    def __init__(self, graph: Graph, handlers: Mapping[str, TfliteHandler]) -> None:
        self.graph = graph
        self.handlers = handlers
        self.nodes: list[Node] = []
        self.kernels: dict[int, FloatKernel] = {}
        self.biases: dict[int, FloatBias] = {}
        self.integer_kernels: dict[int, IntegerKernel] = {}
        self.exact_biases: dict[int, npt.NDArray[np.float64]] = {}
        self.position: dict[int, int] = {}
        self.rows: list[InspectedLayer] = []
        self.float_error: StqError | None = None

    def run(self) -> None:
        """Translate all operators.

        Raises:
            StqError: one cannot be converted.
        """
        self.begin()
        for operator in self.graph.operators:
            self.take(operator)

    def begin(self) -> None:
        """Take the input.

        Raises:
            StqError: there is not one input, or it is of a type that is not read.
        """
        graph = self.graph
        if len(graph.inputs) != 1 or not graph.outputs:
            raise StqError(
                f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs",
                next="give a model with one input, and one output or more",
            )
        (n,) = graph.inputs
        tensor = graph.tensors[n]
        layer = "input"
        self.nodes.append(InputNode(layer, (), self.shape(tensor, "the input")))
        self.position[n] = 0
        quantizers = {}
        if tensor.type == "int8" or (tensor.type == "uint8" and tensor.scale):
            grid = _grid(tensor, "the input")
            # A level is the same number in both types, except for its zero point.
            zero_point = grid.zero_point - (128 if tensor.type == "uint8" else 0)
            quantizer = affine_quantizer(-128 - zero_point, 127 - zero_point, Fraction(grid.scale))
            self.nodes.append(QuantizeNode(layer, (0,), self.nodes[0].shape, quantizer))
            self.position[n] = 1
            quantizers = {"values": _described(tensor)}
        elif tensor.type != "float32":
            raise StqError(f"the input is of the type {tensor.type}", next=INT8)
        self.rows.append(InspectedLayer(layer, "input", (), self.nodes[0].shape, quantizers))

    def take(self, operator: TfliteOperator) -> None:
        """Translate one operator whose inputs have been translated.

        Raises:
            StqError: it cannot be converted; the error says where it is.
        """
        step = OperatorReader(self, operator)
        try:
            handler = self.handlers.get(operator.kind) if not operator.custom else None
            if handler is None:
                raise step.error(*_unknown(operator))
            step.check(handler)
            try:
                handler.read(step)
            except UnusableScale as error:
                raise step.error(str(error), "quantize the model again, with a representative data set") from error
        except StqError as error:
            raise replace_where(error, operator) from error
        self.float_error = self.float_error or step.float_error
        self.rows.append(step.row())

    def try_to_take(self, operator: TfliteOperator) -> None:
        """As `take`, but an error goes into the row."""
        inputs = [n for n in operator.inputs if n >= 0 and self.graph.tensors[n].data is None]
        try:
            if operator.custom or operator.kind not in self.handlers or all(n in self.position for n in inputs):
                self.take(operator)
                return
            problem = NOT_REACHED
        except StqError as error:
            problem = description(error)
        shapes = tuple(self.nodes[self.position[n]].shape for n in inputs if n in self.position)
        kind = f"CUSTOM {operator.kind}" if operator.custom else operator.kind
        self.rows.append(InspectedLayer(operator.name, kind, shapes, None, problem=problem))

    def shape(self, tensor: TfliteTensor, what: str) -> Shape:
        """A tensor's shape without the batch's axis.

        Raises:
            StqError: its batch is not of one sample, or an axis has no size.
        """
        if not tensor.shape or 0 in tensor.shape:
            raise StqError(f"{what} has the shape {list(tensor.shape)}", next="convert the model with fixed shapes")
        if len(tensor.shape) == 1:
            return tensor.shape
        if tensor.shape[0] != 1:
            raise StqError(
                f"{what} has the shape {list(tensor.shape)}, of {tensor.shape[0]} samples at once",
                next="convert the model with a batch of one sample",
            )
        return tensor.shape[1:]

    def parsed(self, facts: FileFacts) -> ParsedModel:
        """The whole model.

        Raises:
            StqError: no operator computes an output.
        """
        for n in self.graph.outputs:
            if n not in self.position:
                raise damaged(f"no operator computes the output {n}")
        return ParsedModel(
            tuple(self.nodes), tuple(self.position[n] for n in self.graph.outputs), self.kernels, self.biases, {},
            self.graph.name or "tflite", facts.to_json(), tuple(self.rows), self.integer_kernels, self.exact_biases,
        )  # fmt: skip

    def listed(self) -> ListedModel:
        """All operators, whatever is wrong with them."""
        self.begin()
        for operator in self.graph.operators:
            self.try_to_take(operator)
        return ListedModel(self.graph.name or "tflite", self.rows)


def replace_where(error: StqError, operator: TfliteOperator) -> StqError:
    """The error with the operator as its place."""
    return type(error)(error.what, where=operator.where(), cause=error.cause, next=error.next)


def _unknown(operator: TfliteOperator) -> tuple[str, str]:
    if operator.custom:
        return "the operator is not of TensorFlow Lite itself", "rebuild the model from built-in operators"
    return f"the operator {operator.kind} is not supported", _INSTEAD.get(operator.kind, _ELSE)


_ELSE = "use an operator that docs/SUPPORT.md lists"
_INSTEAD = {
    "RESIZE_BILINEAR": "use UpSampling2D with interpolation='nearest'",
    "TRANSPOSE_CONV": "use UpSampling2D and a convolution",
    "HARD_SWISH": "use ReLU or ReLU6",
    "PRELU": "use LeakyReLU, whose slope is one number",
    "GELU": "use ReLU",
    "ELU": "use LeakyReLU",
    "LSTM": "use convolutions over time",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "use convolutions over time",
    "VAR_HANDLE": "give the model that takes all its inputs at once, without states",
    "TRANSPOSE": "keep the order NHWC",
}


class OperatorReader:
    """One operator while it is read.

    Attributes:
        float_error: an error where it has floating-point weights or values.
    """

    def __init__(self, walk: Walk, operator: TfliteOperator) -> None:
        self.walk, self.operator, self.layer = walk, operator, operator.name
        self.float_error: StqError | None = None
        self._quantizers: dict[str, str] = {}
        self._parameters = self._macs = self._weight_bytes = 0
        self._bits: list[int] = []
        self._first = len(walk.nodes)

    # Errors

    def error(self, what: str, next: str, cause: str = "") -> StqError:
        """An error about the operator."""
        return StqError(what, where=self.operator.where(), cause=cause, next=next)

    def check(self, handler: TfliteHandler) -> None:
        """Check types, and that there is one output.

        Raises:
            StqError: the operator computes with values of a type that is not read.
        """
        if len(self.operator.outputs) != 1 or not self.operator.inputs:
            raise damaged(f"operator {self.operator.index} has {len(self.operator.outputs)} outputs")
        for tensor in (self.output, *self._values()):
            steps = {"float32": handler.floats, "int8": handler.integers}.get(tensor.type)
            if steps is None and not (tensor.type == "uint8" and self.operator.kind in ("QUANTIZE", "DEQUANTIZE")):
                raise self.error(f"the tensor {shown(tensor.name)} is of the type {tensor.type}", INT8)
        if self.operator.outputs[0] in self.walk.position:
            raise damaged("two operators compute the same tensor")

    def _values(self) -> list[TfliteTensor]:
        """The inputs that are not constants."""
        tensors = self.walk.graph.tensors
        return [tensors[n] for n in self.operator.inputs if n >= 0 and tensors[n].data is None]

    # Tensors

    @property
    def output(self) -> TfliteTensor:
        """The tensor that it computes."""
        return self.walk.graph.tensors[self.operator.outputs[0]]

    @property
    def shape(self) -> Shape:
        """Shape of the output, without the batch's axis."""
        return self.walk.shape(self.output, "its output")

    @property
    def is_float(self) -> bool:
        """Whether it computes floating-point numbers."""
        return self.output.type == "float32"

    def tensor(self, i: int) -> TfliteTensor | None:
        """Input i, or None where it is left out."""
        inputs = self.operator.inputs
        return None if i >= len(inputs) or inputs[i] < 0 else self.walk.graph.tensors[inputs[i]]

    def value(self, i: int = 0) -> int:
        """Position of the node that computes input i.

        Raises:
            StqError: it is a constant, left out, or no operator before this one computes it.
        """
        tensor = self.tensor(i)
        if tensor is None:
            raise damaged(f"input {i} of operator {self.operator.index} is missing")
        if tensor.problem:
            raise self.error(f"the tensor {shown(tensor.name)} {tensor.problem}", "convert the model again")
        if tensor.data is not None:
            raise self.error(f"its input {i} is a constant", "let the converter fold constants")
        n = self.operator.inputs[i]
        if n not in self.walk.position:
            raise damaged(f"no operator before operator {self.operator.index} computes its input {i}")
        return self.walk.position[n]

    def constant(self, i: int, what: str, *types: str) -> TfliteTensor:
        """Input i, which is a constant of one of these types.

        Raises:
            StqError: it is not.
        """
        tensor = self.tensor(i)
        if tensor is None:
            raise damaged(f"{what} of operator {self.operator.index} are missing")
        if tensor.data is None:
            reason = tensor.problem or "are computed by the graph, not stored"
            raise self.error(f"{what} {reason}", "convert the model with constant weights")
        if tensor.type not in types:
            raise self.error(f"{what} are of the type {tensor.type}, not {' or '.join(types)}", INT8)
        if tensor.type == "float32" and not np.isfinite(tensor.data).all():
            raise self.error(f"{what} hold NaN or infinite values", "train again, with a lower learning rate")
        return tensor

    def node_shape(self, n: int) -> Shape:
        """Shape of node n."""
        return self.walk.nodes[n].shape

    def image(self, n: int) -> tuple[int, int, int]:
        """Shape of node n, which is an image.

        Raises:
            StqError: it is not.
        """
        shape = self.node_shape(n)
        if len(shape) != 3:
            raise damaged(f"operator {self.operator.index} takes images, not the shape {list(shape)}")
        return shape[0], shape[1], shape[2]

    def grid(self, tensor: TfliteTensor) -> LevelGrid:
        """The levels of an int8 tensor."""
        return _grid(tensor, f"the tensor {shown(tensor.name)}")

    def same_grid(self, tensor: TfliteTensor) -> LevelGrid:
        """The output's levels, which are those of an input.

        Raises:
            StqError: they are not.
        """
        found, own = self.grid(tensor), self.grid(self.output)
        if found != own:
            raise self.error(
                f"its levels are not its input's: scale {own.scale:g} and zero point {own.zero_point}, "
                f"not {found.scale:g} and {found.zero_point}",
                "convert the model again with a recent TensorFlow",
            )
        return own

    # Settings

    def option(self, name: str) -> int:
        """A setting that is a whole number."""
        return int(self.operator.options[name])

    def activation(self) -> str:
        """The fused activation.

        Raises:
            StqError: it is not supported.
        """
        name = ACTIVATION_NAMES.get(self.option("activation"), "an unknown one")
        if name not in ACTIVATIONS:
            raise self.error(f"the fused activation {name} is not supported", "use RELU or RELU6, or none")
        return name

    def window(self, image: tuple[int, int, int], size: tuple[int, int], dilation: tuple[int, int] = (1, 1)) -> Window:
        """The window of this size over an image.

        Raises:
            StqError: a setting is out of range, or the output has another shape.
        """
        stride = self.option("stride_h"), self.option("stride_w")
        if not all(1 <= n <= _LARGEST_WINDOW for n in (*size, *stride, *dilation)):
            raise damaged(f"operator {self.operator.index} has a window of {size}, stride {stride}, gaps {dilation}")
        padding = PADDINGS.get(self.option("padding"))
        if padding is None:
            raise damaged(f"operator {self.operator.index} has an unknown padding")
        before = after = (0, 0)
        if padding == "SAME":
            before, after = Window.same_padding(image[:2], size, stride, dilation)
        window = Window(size, stride, dilation, before, after)
        if window.output_size(*image[:2]) != self.shape[:2]:
            raise damaged(f"operator {self.operator.index} gives {window.output_size(*image[:2])}, not {self.shape}")
        return window

    # Nodes

    def add(self, kind: type[N], inputs: tuple[int, ...], shape: Shape, **fields: Any) -> int:
        """A new node; returns its position."""
        self.walk.nodes.append(kind(self.layer, inputs, shape, **fields))
        return len(self.walk.nodes) - 1

    def reshaped(self, n: int, shape: Shape) -> int:
        """Node n under another shape."""
        if math.prod(self.node_shape(n)) != math.prod(shape):
            raise damaged(f"operator {self.operator.index} makes {list(shape)} of {list(self.node_shape(n))}")
        return n if self.node_shape(n) == shape else self.add(ReshapeNode, (n,), shape)

    def give(self, n: int) -> None:
        """Node n is the output.

        Raises:
            StqError: it has another shape than the file states.
        """
        if self.node_shape(n) != self.shape:
            raise damaged(
                f"operator {self.operator.index} gives {list(self.node_shape(n))}, the file states {list(self.shape)}"
            )
        if n < self._first:  # a tensor of its own, so that each layer has a node
            n = self.add(PassNode, (n,), self.shape, reason="changes no value")
        self.walk.position[self.operator.outputs[0]] = n

    def clipped(self, n: int, activation: str) -> int:
        """Node n after a fused activation, in floating point."""
        if not activation:
            return n
        low, high = {"RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}[activation]
        ends = Fraction(low), None if high is None else Fraction(high)
        return self.add(ClipNode, (n,), self.node_shape(n), low=ends[0], high=ends[1])

    def weigh(self, n: int, weights: TfliteTensor, values: npt.NDArray[Any], depthwise: bool = False) -> None:
        """Give node n its kernel: `values` are those of the file in our order of axes.

        Raises:
            StqError: scales or zero points are not those of symmetric weights.
        """
        outputs = math.prod(values.shape[-2 if depthwise else -1 :])
        self._parameters += values.size
        self._macs += values.size * math.prod(self.node_shape(n)[:-1])
        if weights.type == "float32":
            self.walk.kernels[n] = FloatKernel(np.ascontiguousarray(values), None, values.shape)
            self._refuse_floats("floating-point weights")
            bits = 8
        else:
            integers = np.ascontiguousarray(values.astype(np.int8))
            bits = next(
                width for width in ((2, 4, 8) if weights.type == "int8" else (4,)) if fits_bits(integers, width)
            )
            self.walk.integer_kernels[n] = IntegerKernel(integers, self.weight_scales(weights, outputs), bits)
            self._quantizers["kernel"] = f"{weights.type} " + (
                "per channel" if len(weights.scale) > 1 else "per tensor"
            )
        self._bits.append(bits)
        self._weight_bytes += -(-values.size * bits // 8)

    def weight_scales(self, weights: TfliteTensor, outputs: int) -> npt.NDArray[np.float64]:
        """The scale of each output channel, float64 (outputs,).

        Raises:
            StqError: they are not those of symmetric weights.
        """
        if any(weights.zero_point):
            raise self.error(
                f"its weights have the zero point {next(filter(None, weights.zero_point))}",
                "convert the model again: weights of int8 are symmetric about 0",
            )
        if len(weights.scale) not in (1, outputs) or not all(_FINEST <= v <= _COARSEST for v in weights.scale):
            raise self.error(f"its weights have {len(weights.scale)} usable scales for {outputs} channels", INT8)
        return np.broadcast_to(np.array(weights.scale, np.float64), (outputs,)).copy()

    def _refuse_floats(self, what: str) -> None:
        if self.float_error is None:
            self.float_error = self.error(what, POST_TRAINING)

    def need_calibration(self) -> None:
        """Its values are floating-point numbers."""
        self._refuse_floats("floating-point values")

    def count(self, parameters: int) -> None:
        """Count further numbers that are stored for the operator."""
        self._parameters += parameters

    def row(self) -> InspectedLayer:
        """The operator as `inspect` shows it."""
        quantizers = dict(self._quantizers)
        if self.output.type == "int8" and self.output.scale:
            quantizers["output"] = _described(self.output)
        shapes = tuple(self.walk.shape(tensor, "an input") for tensor in self._values())
        return InspectedLayer(
            self.layer, self.operator.kind, shapes, self.shape, quantizers, self._parameters, self._macs,
            tuple(self._bits), self._weight_bytes, floating=description(self.float_error),
        )  # fmt: skip


def _described(tensor: TfliteTensor) -> str:
    return f"{tensor.type}, scale {tensor.scale[0]:.6g}, zero point {tensor.zero_point[0]}"


def _grid(tensor: TfliteTensor, what: str) -> LevelGrid:
    """The levels of a tensor.

    Raises:
        StqError: it has not one usable scale.
    """
    if len(tensor.scale) != 1 or len(tensor.zero_point) != 1 or not _FINEST <= tensor.scale[0] <= _COARSEST:
        raise StqError(f"{what} has {len(tensor.scale)} scales, {shown(list(tensor.scale[:1]))}", next=INT8)
    low, high = (0, 255) if tensor.type == "uint8" else (-128, 127)
    if not low <= tensor.zero_point[0] <= high:
        raise StqError(f"{what} has the zero point {tensor.zero_point[0]}", next=INT8)
    return LevelGrid(tensor.scale[0], tensor.zero_point[0])
