"""The model as the lowering sees it: one node per arithmetic step, free of Keras's many spellings.

A Keras layer gives one node or several (a convolution with bias and activation gives three). Nodes refer to each
other by position, so that no name in the file can collide with another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.integer_functions import IntegerFunction, ScaledSum, StatedLevels
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.network.ops import Window
from stq_deploy.network.source_layer import InspectedLayer

FloatArray = npt.NDArray[np.float32]
FloatNumbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""float32 as stored, or float64 once quantized: the exact product of an integer and a float32 scale."""


@dataclass(frozen=True, eq=False)
class BatchNormFold:
    """Batch normalization that a QKeras layer folds into its weights before it quantizes them; float32 (outputs,)."""

    gamma: FloatArray
    beta: FloatArray
    mean: FloatArray
    variance: FloatArray
    epsilon: float


@dataclass(frozen=True, eq=False)
class FloatKernel:
    """Weights as stored, float32, with the quantizer that QKeras applies to them in every forward pass.

    Attributes:
        quantizer: None where the layer has none.
        shape: of the node's kernel, which has the same elements; 1-D and dense kernels lack axes of size 1.
        fold: batch normalization to multiply into the weights first, or None.
    """

    values: FloatArray
    quantizer: Quantizer | None
    shape: tuple[int, ...]
    fold: BatchNormFold | None = None


@dataclass(frozen=True, eq=False)
class FloatBias:
    """A bias as stored, float32 (outputs,); the rest as in `FloatKernel`."""

    values: FloatArray
    quantizer: Quantizer | None
    fold: BatchNormFold | None = None


@dataclass(frozen=True, eq=False)
class IntegerKernel:
    """Quantized weights exactly: `integers * scale`.

    Attributes:
        integers: int16 where `bits` is 16, else int8; shaped like the Keras kernel.
        scale: float64, shape of the kernel's output channels: (filters,), depthwise (channels * multiplier,).
        bits: width of a packed weight, 1 (-1 and 1, or 0 and 1), 2, 4, 8 or 16.
    """

    integers: npt.NDArray[np.int8] | npt.NDArray[np.int16]
    scale: npt.NDArray[np.float64]
    bits: int


@dataclass(frozen=True, eq=False)
class Node:
    """One arithmetic step.

    Attributes:
        layer: the Keras layer it belongs to. Untrusted text.
        inputs: positions in `SourceGraph.nodes` of its inputs.
        shape: of its output, without the batch axis.
    """

    layer: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]


MakeNode = Callable[[str, tuple[int, ...], tuple[int, ...]], Node]
"""(layer, inputs, shape) -> a node."""


@dataclass(frozen=True, eq=False)
class InputNode(Node):
    """The model's only input."""


@dataclass(frozen=True, eq=False)
class ConvolveNode(Node):
    """Conv2D's sum; kernel (kh, kw, input channels of a group, filters)."""

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
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta` per channel; all (C,)."""

    gamma: FloatNumbers
    beta: FloatNumbers
    mean: FloatNumbers
    variance: FloatNumbers
    epsilon: float


@dataclass(frozen=True, eq=False)
class QuantizeNode(Node):
    """A quantizing activation: its output has few levels."""

    quantizer: Quantizer


@dataclass(frozen=True, eq=False)
class IntegerNode(Node):
    """Levels that are a stated integer function of its input's accumulators, clamped."""

    function: IntegerFunction
    levels: StatedLevels


@dataclass(frozen=True, eq=False)
class IntegerSumNode(Node):
    """Levels that are a stated integer function of two tensors of levels, clamped: a sum or a difference."""

    function: ScaledSum
    levels: StatedLevels


@dataclass(frozen=True, eq=False)
class IntegerTableNode(Node):
    """Levels that are looked up by levels.

    Attributes:
        table: int8 (256,), read at `level + 128`.
        source: the levels that are looked up.
        function: "sigmoid", "tanh" or "" for any other.
    """

    table: npt.NDArray[np.int8]
    source: StatedLevels
    levels: StatedLevels
    function: str


@dataclass(frozen=True, eq=False)
class WrapNode(Node):
    """Rounds to multiples of `step`; a level outside its channel's range is moved into it by whole lengths of it.

    That is what a fixed-point number does on overflow. The result is the level times `step`.

    Attributes:
        step: > 0.
        low, count: the range of channel c is `count[c]` levels from `low[c]` on; one entry each where all agree.
        rounding: "half_up" (towards plus infinity), "half_even" or "floor".
    """

    step: Fraction
    low: tuple[int, ...]
    count: tuple[int, ...]
    rounding: str


LEVELS = (QuantizeNode, WrapNode, IntegerNode, IntegerSumNode, IntegerTableNode)
"""Nodes that give levels."""


@dataclass(frozen=True, eq=False)
class AffineNode(Node):
    """`factor[c] * x + offset[c]`, exact; one entry each where all channels agree."""

    factor: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class ClipNode(Node):
    """`min(max(x, low), high)`: a relu has low 0 and high None, which is not a bound."""

    low: Fraction | None
    high: Fraction | None


@dataclass(frozen=True, eq=False)
class LeakyNode(Node):
    """x where positive, `slope * x` below 0; slope > 0."""

    slope: Fraction


@dataclass(frozen=True, eq=False)
class FunctionNode(Node):
    """An activation that no rational number describes: one of `lowering.functions.FUNCTIONS`, with its parameters."""

    function: str
    parameters: tuple[Fraction, ...] = ()


@dataclass(frozen=True, eq=False)
class SoftmaxNode(Node):
    """Softmax over the last axis: keeps the order of the classes."""


@dataclass(frozen=True, eq=False)
class CombineNode(Node):
    """Two or more tensors of one shape, element by element, from left to right."""


@dataclass(frozen=True, eq=False)
class AddNode(CombineNode):
    """Sum."""


@dataclass(frozen=True, eq=False)
class SubtractNode(CombineNode):
    """Difference of two tensors."""


@dataclass(frozen=True, eq=False)
class MultiplyNode(CombineNode):
    """Product."""


@dataclass(frozen=True, eq=False)
class MaximumNode(CombineNode):
    """The largest."""


@dataclass(frozen=True, eq=False)
class MinimumNode(CombineNode):
    """The smallest."""


@dataclass(frozen=True, eq=False)
class AverageNode(CombineNode):
    """Mean of all."""


@dataclass(frozen=True, eq=False)
class MaxPoolNode(Node):
    """Largest value under each window."""

    window: Window


@dataclass(frozen=True, eq=False)
class AveragePoolNode(Node):
    """Mean under each window; padding is not counted."""

    window: Window


@dataclass(frozen=True, eq=False)
class ReshapeNode(Node):
    """The same elements under another shape."""


@dataclass(frozen=True, eq=False)
class PadNode(Node):
    """Rows and columns of 0 around an image: (vertical, horizontal) before and after it."""

    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True, eq=False)
class CropNode(Node):
    """The part of an image that begins at `before` (vertical, horizontal), as large as the node's shape."""

    before: tuple[int, int]


@dataclass(frozen=True, eq=False)
class UpsampleNode(Node):
    """Every pixel `size` (vertical, horizontal) times: nearest-neighbour interpolation."""

    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class ConcatenateNode(Node):
    """Two or more tensors one after the other along `axis`; 0 is the first after the batch's."""

    axis: int


@dataclass(frozen=True, eq=False)
class PassNode(Node):
    """Does nothing at inference: Dropout, or a linear activation."""

    reason: str


@dataclass(frozen=True, eq=False)
class SourceGraph:
    """A checked model with integer weights.

    Attributes:
        nodes: in an order in which inputs come first; nodes[0] is the InputNode. Images are (height, width,
            channels): a 1-D layer of Keras works on an image of one row, between two ReshapeNodes.
        outputs: positions of the nodes whose values the model returns, in its order; the first is scored.
        kernels: position -> weights, for every node with weights.
        biases: position of a BiasNode -> float64 (C,), exact.
        name: the model's name. Untrusted text.
        file: `{"name", "sha256", "format"}` of the model file.
        table: one row per Keras layer, for `inspect`.
        floats: position -> the floating-point weights that `kernels` has as int8, shaped as these.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    kernels: dict[int, IntegerKernel]
    biases: dict[int, npt.NDArray[np.float64]]
    name: str
    file: dict[str, str]
    table: tuple[InspectedLayer, ...] = ()
    floats: dict[int, FloatArray] = field(default_factory=dict)
