"""The view that a handler has of one ONNX node: its checked inputs and attributes, and where its results go."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.formats.onnx.errors import refused
from stq_deploy.frontend.formats.onnx.graph import OnnxNode, TensorAttribute, UnreadableAttribute
from stq_deploy.frontend.formats.onnx.values import (
    IMAGE_RANK,
    ROW_RANK,
    GridNumbers,
    LevelScale,
    Numbers,
    OnnxValue,
    Tensor,
    is_stored_so,
    stored_index,
    stored_shape,
)
from stq_deploy.frontend.source import (
    AffineNode,
    AveragePoolNode,
    ClipNode,
    FloatKernel,
    IntegerKernel,
    MaxPoolNode,
    Node,
    PassNode,
    QuantizeNode,
    ReshapeNode,
)

MAXIMUM_TENSOR = 1 << 22
"""Elements of one tensor: twice what the memory of any microcontroller here holds."""
MAXIMUM_TENSORS = 1 << 26
"""Elements of all tensors of a model together, because each has an index array at import."""
_KEEPS_SIGN = (AffineNode, AveragePoolNode, MaxPoolNode, PassNode, ReshapeNode)

Reals = npt.NDArray[np.float64]


@dataclass(eq=False)
class Built:
    """The nodes that are read so far, with their weights; positions as in `SourceGraph`."""

    nodes: list[Node] = field(default_factory=list)
    integer_kernels: dict[int, IntegerKernel] = field(default_factory=dict)
    float_kernels: dict[int, FloatKernel] = field(default_factory=dict)
    biases: dict[int, Reals] = field(default_factory=dict)
    elements: int = 0


class NodeReader:
    """One node, as its handler reads it.

    Attributes:
        node: the node; its name is unique.
        opset: version of the node's domain.
        batch: the batch that the file fixes, or None.
        quantizers, parameters, macs: for `inspect`.
        float_error: the error about floating-point weights, which post-training quantization takes.
    """

    def __init__(
        self,
        node: OnnxNode,
        opset: int,
        values: Sequence[OnnxValue | None],
        arrays: Callable[[str], npt.NDArray[Any]],
        built: Built,
        batch: int | None = None,
    ) -> None:
        self.node, self.opset, self.batch = node, opset, batch
        self.values = tuple(values)
        self.quantizers: dict[str, str] = {}
        self.parameters = 0
        self.macs = 0
        self.weights: list[tuple[int, int]] = []
        self.float_error: StqError | None = None
        self._arrays = arrays
        self._built = built
        self._read: set[str] = set()

    @property
    def name(self) -> str:
        return self.node.name

    # Errors

    def error(self, what: str, next: str, cause: str = "") -> StqError:
        return refused(self.node.name, self.node.op, what, next, cause)

    def damaged(self, what: str) -> NoReturn:
        raise self.error(what, "export the model again", "the file contradicts itself")

    # Attributes

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute as the file has it: a number, a text or a tuple of them, or the default."""
        self._read.add(name)
        value = self.node.attributes.get(name, default)
        if isinstance(value, UnreadableAttribute):
            raise self.error(f"its attribute {name} is {value.what}", "export the model without it")
        return value

    def whole(self, name: str, default: int) -> int:
        value = self.attribute(name, default)
        if type(value) is not int:
            self.damaged(f"its attribute {name} is not a whole number")
        return int(value)

    def number(self, name: str, default: float) -> Fraction:
        """An attribute of type float: the float32 that it is."""
        value = self.attribute(name, default)
        if type(value) not in (int, float):
            self.damaged(f"its attribute {name} is not a number")
        return Fraction(float(np.float32(value)))

    def text(self, name: str, default: str) -> str:
        value = self.attribute(name, default)
        if not isinstance(value, str):
            self.damaged(f"its attribute {name} is not a text")
        return str(value)

    def wholes(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
        value = self.attribute(name, default)
        if value is None:
            return None
        if not isinstance(value, tuple) or any(type(each) is not int for each in value):
            self.damaged(f"its attribute {name} is not a list of whole numbers")
        return tuple(int(each) for each in value)

    def array(self, name: str) -> npt.NDArray[Any] | None:
        """An attribute that is a tensor, or None."""
        value = self.attribute(name)
        if value is None:
            return None
        if not isinstance(value, TensorAttribute):
            self.damaged(f"its attribute {name} is not a tensor")
        return self._arrays(value.path)

    def fixed(self, name: str, value: Any, next: str, default: Any = None) -> None:
        """Refuse the node unless the attribute has this value."""
        found = self.attribute(name, value if default is None else default)
        if found != value:
            raise self.error(f"{name}={str(found)[:80]} is not supported", next)

    def check_attributes(self) -> None:
        """Refuse attributes that the handler has not read: they may change the node's meaning."""
        unread = sorted(self.node.attributes.keys() - self._read)
        if unread:
            raise self.error(
                f"its attribute {str(unread[0])[:80]!r} is not read", "export the model with a common version of ONNX"
            )

    # Inputs

    def value(self, i: int) -> OnnxValue:
        found = self.values[i] if i < len(self.values) else None
        if found is None:
            self.damaged(f"its input {i} is missing")
        return found

    def has(self, i: int) -> bool:
        return i < len(self.values) and self.values[i] is not None

    def at_most(self, count: int) -> None:
        if len(self.values) > count:
            self.damaged(f"it has {len(self.values)} inputs instead of up to {count}")

    def tensor(self, i: int = 0) -> Tensor:
        """An input that depends on the model's input and holds real numbers."""
        found = self.moved_tensor(i)
        if found.levels is not None:
            raise self.error(
                "it computes with integers that QuantizeLinear has written",
                "export in the format QDQ, where DequantizeLinear stands before every operator",
            )
        return found

    def moved_tensor(self, i: int = 0) -> Tensor:
        """An input that depends on the model's input; real numbers, or the integers that QuantizeLinear writes."""
        found = self.value(i)
        if not isinstance(found, Tensor):
            raise self.error(f"its input {i} is a constant", "let a layer with weights read the model's input first")
        return found

    def constant(self, i: int) -> Numbers | GridNumbers:
        found = self.value(i)
        if isinstance(found, Tensor):
            raise self.error(
                f"its input {i} depends on the model's input; only constants are supported there",
                "export the model with fixed parameters, in evaluation mode",
            )
        return found

    def numbers(self, i: int) -> npt.NDArray[Any]:
        """A constant input, of any type."""
        return self.constant(i).values

    def type_of(self, i: int) -> str:
        """ONNX's name of a constant input's type."""
        found = self.constant(i)
        return (found.type if isinstance(found, Numbers) else "") or str(found.values.dtype)

    def reals(self, i: int) -> Reals:
        """A constant input of real numbers, exact, finite."""
        values = self.numbers(i)
        if values.dtype.kind not in "fiu":
            self.damaged(f"its input {i} does not hold numbers")
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise self.error(
                f"its input {i} holds NaN or infinite values",
                "train again, with a lower learning rate or clipped gradients",
                "the training diverged",
            )
        return values

    def floats(self, i: int) -> npt.NDArray[np.float32]:
        """A constant input of real numbers as float32, finite."""
        with np.errstate(over="ignore"):
            values = self.reals(i).astype(np.float32)
        if not np.isfinite(values).all():
            raise self.error(f"its input {i} holds numbers beyond float32", "export the model in float32")
        return values

    def scalar(self, i: int, default: float | None = None) -> float:
        """A constant input of one element."""
        if not self.has(i) and default is not None:
            return default
        values = self.reals(i)
        if values.size != 1:
            raise self.error(
                f"its input {i} has {values.size} numbers; one for the whole tensor is supported",
                "quantize activations per tensor",
            )
        return float(values.reshape(()))

    def integers(self, i: int) -> tuple[int, ...]:
        """A constant input that is a list of whole numbers."""
        values = self.numbers(i)
        if values.dtype.kind not in "iu" or values.ndim > 1 or values.size > 64:
            self.damaged(f"its input {i} is not a list of whole numbers")
        return tuple(int(n) for n in values.reshape(-1))

    def image(self, i: int = 0, *, levels: bool = False) -> tuple[Tensor, tuple[int, int, int]]:
        """An input as an image that is stored (height, width, channels); of rank 3, as an image of one row.

        Args:
            levels: take integers that QuantizeLinear has written, too.
        """
        tensor = self.moved_tensor(i) if levels else self.tensor(i)
        if len(tensor.shape) not in (IMAGE_RANK, ROW_RANK):
            raise self.error(
                f"it has an input of {len(tensor.shape)} axes, {shape_text(tensor.shape)}; images have 4, rows 3",
                "use two-dimensional or one-dimensional layers",
            )
        found = self.stored(tensor)
        height, width, channels = stored_shape(tensor.shape)
        return found, (height, width, channels)

    def stored(self, tensor: Tensor) -> Tensor:
        """The tensor in the shape and order in which nodes store ONNX's shape.

        Raises:
            StqError: that would take a transposition at run time.
        """
        if not is_stored_so(tensor):
            raise self.error(
                "it reads a transposed tensor, which would have to be moved while the network runs",
                "leave the transposition out; a flattened image is best read by a Gemm or MatMul",
            )
        shape = stored_shape(tensor.shape)
        if self.node_shape(tensor) == shape:
            return tensor
        return replace(tensor, position=self.add(ReshapeNode(self.name, (tensor.position,), shape)))

    def flat(self, tensor: Tensor) -> Tensor:
        """The tensor with its elements stored in one row."""
        count = tensor.index.size
        if self.node_shape(tensor) == (count,):
            return tensor
        return replace(tensor, position=self.add(ReshapeNode(self.name, (tensor.position,), (count,))))

    def reshaped(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The tensor from a node of another shape, with its elements stored in the same order."""
        return replace(tensor, position=self.add(ReshapeNode(self.name, (tensor.position,), shape)))

    def node_shape(self, tensor: Tensor) -> tuple[int, ...]:
        return self.shape_at(tensor.position)

    def shape_at(self, position: int) -> tuple[int, ...]:
        return self.node_at(position).shape

    def node_at(self, position: int) -> Node:
        return self._built.nodes[position]

    def is_never_negative(self, tensor: Tensor) -> bool:
        """Whether a quantizer without negative levels, or a clip at 0, shows that no element is below 0."""
        node = self._built.nodes[tensor.position]
        while isinstance(node, _KEEPS_SIGN):
            if isinstance(node, AffineNode) and (min(node.factor) < 0 or min(node.offset) < 0):
                return False
            node = self._built.nodes[node.inputs[0]]
        if isinstance(node, QuantizeNode):
            return bool(node.quantizer.parameters.get("low", -1) == 0)
        return isinstance(node, ClipNode) and node.low is not None and node.low >= 0

    # Results

    def add(self, node: Node) -> int:
        """Add a node; its position."""
        count = math.prod(node.shape)
        self._built.elements += count
        if count > MAXIMUM_TENSOR or self._built.elements > MAXIMUM_TENSORS or any(n < 1 for n in node.shape):
            raise self.error(
                f"its output would have the shape {node.shape}", "use sizes that fit the memory of a microcontroller"
            )
        self._built.nodes.append(node)
        return len(self._built.nodes) - 1

    def kernel(self, at: int, kernel: IntegerKernel | FloatKernel) -> None:
        """Give the node at this position its weights."""
        if isinstance(kernel, IntegerKernel):
            self._built.integer_kernels[at] = kernel
            self.weights.append((kernel.bits, kernel.integers.size))
        else:
            self._built.float_kernels[at] = kernel
            self.weights.append((8, kernel.values.size))

    def bias(self, at: int, values: Reals) -> None:
        self._built.biases[at] = values

    def image_result(self, position: int, shape: tuple[int, ...]) -> Tensor:
        """A tensor of ONNX's shape that the node at `position` stores with channels last."""
        tensor = Tensor(position, stored_index(shape))
        expected = stored_shape(shape)
        if self.node_shape(tensor) != expected:
            return replace(tensor, position=self.add(ReshapeNode(self.name, (position,), expected)))
        return tensor

    def elementwise(self, tensor: Tensor, node: Node) -> Tensor:
        """The result of a node that works element by element on `tensor`."""
        return Tensor(self.add(node), tensor.index)

    def leveled(self, tensor: Tensor, levels: LevelScale | None) -> Tensor:
        return replace(tensor, levels=levels)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape without its batch axis, for people."""
    return "x".join(map(str, shape[1:]))
