"""The object that a handler works with: the settings of one layer, its weights, and the nodes it makes."""

from __future__ import annotations

import math
from collections.abc import Callable

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.fixed_point_weights import fixed_point_quantizer
from stq_deploy.frontend.formats.keras.arrays import Shapes
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.layers.settings import MAXIMUM_ELEMENTS, QUANTIZED_DENSE, LayerSettings
from stq_deploy.frontend.quantizers import KERNEL, Quantizer
from stq_deploy.frontend.source import (
    BatchNormFold,
    FloatArray,
    FloatBias,
    FloatKernel,
    IntegerKernel,
    Node,
    ReshapeNode,
)

POST_TRAINING = "add --post-training int8 --calibrate SAMPLES.npz"

_QUANTIZED_KINDS = {
    "Conv1D": "QConv1D",
    "Conv2D": "QConv2D",
    "Dense": "QDense",
    "DepthwiseConv1D": "QDepthwiseConv2D, between Reshape layers to images of one row,",
    "DepthwiseConv2D": "QDepthwiseConv2D",
    "SeparableConv1D": "QSeparableConv1D",
    "SeparableConv2D": "QSeparableConv2D",
}
"""Keras's weighted layers -> QKeras's, which have the same settings and also quantizers."""

ReadArrays = Callable[[Shapes], dict[str, FloatArray]]


class LayerReader(LayerSettings):
    """One layer being imported.

    A handler takes every setting by a method of `LayerSettings`, adds nodes, and returns. `finish` then refuses any
    setting that was not taken. Every method raises StqError naming layer, class, setting and a remedy.

    Attributes:
        inputs: (position, shape) of each node the layer reads.
        integer_kernels: position -> weights that the file stores as integers.
        other_obstacle: why the layer cannot be converted without post-training quantization, whatever its weights are.
        stored, unread: `CheckedLayer.arrays` and `unread`, as far as the handler has taken them.
    """

    def __init__(
        self,
        layer: LayerConfig,
        inputs: list[tuple[int, tuple[int, ...]]],
        arrays: ReadArrays,
        first_position: int,
    ) -> None:
        super().__init__(layer)
        self.inputs = inputs
        self.stored: dict[str, FloatArray] = {}
        self.unread: frozenset[str] = frozenset()
        self.nodes: list[Node] = []
        self.kernels: dict[int, FloatKernel] = {}
        self.integer_kernels: dict[int, IntegerKernel] = {}
        self.other_obstacle: StqError | None = None
        self.biases: dict[int, FloatBias] = {}
        self.numbers: dict[int, dict[str, Quantizer]] = {}
        self.parameters = 0
        self.macs = 0
        self._arrays = arrays
        self._first = first_position
        self._unquantized: dict[str, str] = {}
        self._undecided: list[str] = []

    # Places in the graph

    def only_input(self) -> tuple[int, tuple[int, ...]]:
        """(position, shape) of the single input."""
        if len(self.inputs) != 1:
            raise self.error(f"the layer has {len(self.inputs)} inputs instead of 1", "connect exactly one input")
        return self.inputs[0]

    def image_input(self) -> tuple[int, tuple[int, int, int]]:
        """(position, (height, width, channels)) of the single input; of a 1-D layer, once it is an image."""
        position, shape = self.only_input()
        if len(shape) != 3 - self.in_rows:
            expected = "(length, channels)" if self.in_rows else "(height, width, channels)"
            raise self.error(f"its input has shape {shape} instead of {expected}", "put a Reshape before it")
        if self.in_rows:
            shape = (1, *shape)
            position = self.add(ReshapeNode(self.name, (position,), shape))
        return position, (shape[0], shape[1], shape[2])

    def image_output(self) -> None:
        """End a layer that began with `image_input`: the output of a 1-D layer is (length, channels) again."""
        if self.in_rows:
            position, shape = self.last
            self.add(ReshapeNode(self.name, (position,), shape[1:]))

    @property
    def next_position(self) -> int:
        """Position of the node that will be added next."""
        return self._first + len(self.nodes)

    @property
    def last(self) -> tuple[int, tuple[int, ...]]:
        """(position, shape) of the node added last."""
        return self._first + len(self.nodes) - 1, self.nodes[-1].shape

    def add(self, node: Node) -> int:
        """Append a node; returns its position."""
        if any(n < 1 for n in node.shape) or math.prod(node.shape) > MAXIMUM_ELEMENTS:
            raise self.error(
                f"its output would have shape {shown(node.shape)}",
                f"keep every size at least 1 and the whole within {MAXIMUM_ELEMENTS} elements",
            )
        self.nodes.append(node)
        return self._first + len(self.nodes) - 1

    def part(self, layer: LayerConfig, inputs: list[tuple[int, tuple[int, ...]]], arrays: ReadArrays) -> LayerReader:
        """A reader for the handler of another layer class, which does a part of this one; see `take_over`."""
        return LayerReader(layer, inputs, arrays, self.next_position)

    def take_over(self, within: LayerReader) -> None:
        """Take all that the handler of another layer has added, which is a part of this one."""
        self.nodes += within.nodes
        self.kernels |= within.kernels
        self.biases |= within.biases
        self.quantizers |= within.quantizers
        self.macs += within.macs
        self._unquantized |= within._unquantized

    # Weights

    @property
    def plain(self) -> bool:
        """Whether it is one of Keras's own weighted layers, whose settings have no quantizers."""
        return self.layer.kind in (*_QUANTIZED_KINDS, QUANTIZED_DENSE)

    def kernel_quantizer(self, key: str, example: str) -> Quantizer | None:
        """The quantizer of a kernel; None if its weights are floating-point numbers.

        That sets `float_error`, unless `add_kernel` then finds them to be fixed-point numbers as they are. Kernels are
        added in the order of their quantizers.
        """
        quantizer = None if self.plain else self.quantizer(key, KERNEL)
        if quantizer is None:
            self._unquantized[key] = example
            self._undecided.append(key)
        return quantizer

    @property
    def float_error(self) -> StqError | None:
        """Why the layer needs post-training quantization: weights without a quantizer, or `other_obstacle`."""
        if not self._unquantized:
            return self.other_obstacle
        settings = ", ".join(f'{key}="{example}"' for key, example in self._unquantized.items())
        if self.plain:
            quantized = _QUANTIZED_KINDS[self.layer.kind]
            return self.error(
                "floating-point weights", f"{POST_TRAINING}, or use {quantized} with {settings}, and train again"
            )
        what = f"{next(iter(self._unquantized))} is None: floating-point weights"
        return self.error(what, f"{POST_TRAINING}, or set {settings}")

    def add_kernel(
        self,
        position: int,
        values: FloatArray,
        quantizer: Quantizer | None,
        shape: tuple[int, ...] | None = None,
        fold: BatchNormFold | None = None,
    ) -> None:
        """Keep a node's weights; `shape` is that of the node's kernel, where it is not stored in it.

        A QKeras layer without a quantizer may hold weights that are fixed-point numbers as they are; they convert
        exactly. Others without a quantizer wait for post-training quantization.
        """
        if quantizer is None:
            key = self._undecided.pop(0)
            quantizer = None if self.plain else fixed_point_quantizer(values, KERNEL.bits)
            if quantizer is not None:
                del self._unquantized[key]
                self.quantizers[key.removesuffix("_quantizer")] = str(quantizer)
        self.kernels[position] = FloatKernel(values, quantizer, shape or values.shape, fold)

    def arrays(self, shapes: Shapes) -> dict[str, FloatArray]:
        """The layer's stored arrays, by name in Keras's order; counts the parameters.

        Args:
            shapes: as for a `arrays.ArrayReader`.
        """
        if sum(math.prod(shape) for shape in shapes.values() if shape) > MAXIMUM_ELEMENTS:
            raise self.error(f"its weights have the shapes {shown(shapes)}", f"stay below {MAXIMUM_ELEMENTS} weights")
        found = self._arrays(shapes)
        self.parameters += sum(a.size for a in found.values())
        self.stored |= found
        self.unread |= {name for name, shape in shapes.items() if shape is None}
        return found
