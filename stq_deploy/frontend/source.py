"""The model as the passes see it: one node per arithmetic step, free of Keras's many spellings.

A Keras layer gives one node or several (a convolution with bias and activation gives three). Nodes refer to each
other by position, so that no name in the file can collide with another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.network.ops import Window

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FloatKernel:
    """Weights as stored, float32, with the quantizer that QKeras applies to them in every forward pass."""

    values: FloatArray
    quantizer: Quantizer


@dataclass(frozen=True, eq=False)
class IntegerKernel:
    """Quantized weights exactly: `integers * scale`.

    Attributes:
        integers: int8, shaped like the Keras kernel.
        scale: float64, shape of the kernel's output channels: (filters,), depthwise (channels * multiplier,).
        bits: width of a packed weight, 2, 4 or 8.
    """

    integers: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float64]
    bits: int


@dataclass(frozen=True, eq=False)
class Node:
    """One arithmetic step.

    Attributes:
        layer: the Keras layer it belongs to. Untrusted text.
        inputs: positions in `SourceGraph.nodes` of what it reads.
        shape: of its output, without the batch axis.
    """

    layer: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class InputNode(Node):
    """The model's only input."""


@dataclass(frozen=True, eq=False)
class ConvolveNode(Node):
    """Conv2D's sum; kernel (kh, kw, input channels, filters)."""

    window: Window


@dataclass(frozen=True, eq=False)
class DepthwiseNode(Node):
    """DepthwiseConv2D's sum; kernel (kh, kw, input channels, depth multiplier)."""

    window: Window


@dataclass(frozen=True, eq=False)
class DenseNode(Node):
    """Dense's sum; kernel (inputs, units)."""


@dataclass(frozen=True, eq=False)
class BiasNode(Node):
    """Adds a number per channel; the numbers are in `SourceGraph.biases`."""


@dataclass(frozen=True, eq=False)
class BatchNormNode(Node):
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta` per channel; all float32 (C,)."""

    gamma: FloatArray
    beta: FloatArray
    mean: FloatArray
    variance: FloatArray
    epsilon: float


@dataclass(frozen=True, eq=False)
class QuantizeNode(Node):
    """A quantizing activation: its output has few levels."""

    quantizer: Quantizer


@dataclass(frozen=True, eq=False)
class FunctionNode(Node):
    """A monotone activation in floating point: "relu", "sigmoid" or "tanh"; a quantizer must follow."""

    function: str


@dataclass(frozen=True, eq=False)
class SoftmaxNode(Node):
    """Softmax over the last axis: keeps the order of the classes."""


@dataclass(frozen=True, eq=False)
class AddNode(Node):
    """Sum of two or more tensors of one shape."""


@dataclass(frozen=True, eq=False)
class MultiplyNode(Node):
    """Product of two or more tensors of one shape."""


@dataclass(frozen=True, eq=False)
class MaxPoolNode(Node):
    """Largest value under each window."""

    window: Window


@dataclass(frozen=True, eq=False)
class ReshapeNode(Node):
    """The same elements under another shape."""


@dataclass(frozen=True, eq=False)
class PassNode(Node):
    """Does nothing at inference: Dropout, or a linear activation."""

    reason: str


@dataclass(frozen=True, eq=False)
class SourceGraph:
    """A checked model with integer weights.

    Attributes:
        nodes: in an order in which inputs come first; nodes[0] is the InputNode.
        output: position of the node whose value the model returns.
        kernels: position -> weights, for every node with weights.
        biases: position of a BiasNode -> float64 (C,), exact.
        name: the model's name. Untrusted text.
        file: `{"name", "sha256", "format"}` of the model file.
        table: one JSON-able row per Keras layer, for `inspect`.
    """

    nodes: tuple[Node, ...]
    output: int
    kernels: dict[int, IntegerKernel]
    biases: dict[int, npt.NDArray[np.float64]]
    name: str
    file: dict[str, str]
    table: list[dict[str, Any]] = field(default_factory=list)
