"""Weights and biases of convolutions and dense layers, and the dense layers themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.formats.onnx.operators import register
from stq_deploy.frontend.formats.onnx.reader import NodeReader
from stq_deploy.frontend.formats.onnx.values import GridNumbers, OnnxValue, Tensor
from stq_deploy.frontend.source import BiasNode, DenseNode, FloatKernel, IntegerKernel

_WIDTHS = (2, 4, 8, 16)
_POST_TRAINING = "quantize it after training: --post-training int8; or quantize in training, with Brevitas"


@dataclass(frozen=True, eq=False)
class Weights:
    """Constant weights of a layer: integers with their scales, or floats.

    Attributes:
        grid: None for floats.
        floats: float32; empty for integers.
    """

    grid: GridNumbers | None
    floats: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.floats.shape if self.grid is None else self.grid.shape

    def moved(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Weights:
        """The same weights in another order or shape."""
        if self.grid is None:
            return Weights(None, change(self.floats))
        return Weights(self.grid.moved(change(self.grid.integers), change(self.grid.scale)), self.floats)

    def kernel(self, reader: NodeReader, output_axes: int) -> IntegerKernel | FloatKernel:
        """The weights as a node takes them; the last `output_axes` axes count its outputs.

        Raises:
            StqError: an output has weights of several scales, or they do not fit 16 bits.
        """
        if self.grid is None:
            return FloatKernel(np.ascontiguousarray(self.floats), None, self.shape)
        integers, scale = self.grid.integers, self.grid.scale
        outputs = int(np.prod(self.shape[-output_axes:]))
        per_output = scale.reshape(-1, outputs)
        if (per_output != per_output[0]).any():
            raise reader.error(
                f"the weights' quantizer {self.grid.quantizer} has several scales within one output channel",
                "quantize the weights per tensor, or per output channel",
            )
        bits = _packed_bits(integers)
        if bits is None:
            raise reader.error("its weights have more than 16 bits", "quantize the weights to 8 bits or fewer")
        stored = integers.astype(np.int16) if bits == _WIDTHS[-1] else integers.astype(np.int8)
        return IntegerKernel(stored.copy(), per_output[0].copy(), bits)


def _packed_bits(integers: npt.NDArray[np.int64]) -> int | None:
    """The fewest bits that hold every weight: 1 for -1 and 1, or for 0 and 1."""
    if (np.abs(integers) == 1).all() or ((integers == 0) | (integers == 1)).all():
        return 1
    largest = int(max(integers.max(), -integers.min() - 1))
    return next((width for width in _WIDTHS if largest < 2 ** (width - 1)), None)


def weights_of(reader: NodeReader, i: int) -> Weights:
    """A constant input as weights. Floats set `float_error`; post-training quantization can take them."""
    found = reader.constant(i)
    reader.parameters += int(np.prod(found.shape))
    if isinstance(found, GridNumbers):
        reader.quantizers["kernel"] = found.quantizer
        return Weights(found, np.zeros(0, np.float32))
    floats = reader.floats(i)
    reader.float_error = reader.error("its weights are floating-point numbers without a quantizer", _POST_TRAINING)
    return Weights(None, floats)


def add_bias(reader: NodeReader, at: int, i: int, outputs: int) -> int:
    """Add a node for a constant bias, if there is one; the position of the sum."""
    if not reader.has(i):
        return at
    found = reader.constant(i)
    if isinstance(found, GridNumbers):
        reader.quantizers["bias"] = found.quantizer
    values = reader.reals(i)
    if values.size not in (1, outputs) or values.size != max((*values.shape, 1)):
        raise reader.error(f"its bias has the shape {values.shape}, for {outputs} outputs", "use one number an output")
    reader.parameters += values.size
    shape = reader.shape_at(at)
    added = reader.add(BiasNode(reader.name, (at,), shape))
    reader.bias(added, np.broadcast_to(values.reshape(-1), (outputs,)).copy())
    return added


@register("Gemm", becomes=(DenseNode, BiasNode))
def read_gemm(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """A dense layer: weights and bias are constants; alpha and beta are 1."""
    reader.at_most(3)
    for name in ("alpha", "beta"):
        if reader.number(name, 1.0) != 1:
            raise reader.error(f"its {name} is not 1", "multiply the weights by it")
    if reader.whole("transA", 0):
        raise reader.error("transA=1 is not supported", "let the batch be the first axis")
    weights = weights_of(reader, 1)
    if len(weights.shape) != 2:
        reader.damaged(f"its weights have the shape {weights.shape}")
    if reader.whole("transB", 0):
        weights = weights.moved(np.transpose)
    return (_dense(reader, reader.tensor(), weights, 2),)


@register("MatMul", becomes=(DenseNode,))
def read_matmul(reader: NodeReader) -> tuple[OnnxValue, ...]:
    """A dense layer without bias: features times constant weights."""
    reader.at_most(2)
    weights = weights_of(reader, 1)
    if len(weights.shape) != 2:
        raise reader.error(f"its weights have the shape {weights.shape}", "multiply features by a matrix")
    return (_dense(reader, reader.tensor(), weights, 2),)


def _dense(reader: NodeReader, tensor: Tensor, weights: Weights, bias: int) -> Tensor:
    """A dense layer; the weights' rows are put into the order in which the features are stored."""
    inputs, units = weights.shape
    if len(tensor.shape) != 2:
        raise reader.error(
            f"it multiplies a tensor of {len(tensor.shape)} axes",
            "flatten the tensor first, or use a convolution of window 1",
        )
    if tensor.shape[1] != inputs:
        reader.damaged(f"weights for {inputs} features read {tensor.shape[1]}")
    row = reader.flat(tensor)
    order = np.argsort(tensor.index.ravel())
    at = reader.add(DenseNode(reader.name, (row.position,), (units,)))
    reader.kernel(at, weights.moved(lambda array: array[order]).kernel(reader, 1))
    reader.macs = inputs * units
    at = add_bias(reader, at, bias, units) if bias < len(reader.values) else at
    return Tensor(at, np.arange(units, dtype=np.int32).reshape(1, units))
