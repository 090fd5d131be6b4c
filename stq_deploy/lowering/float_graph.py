"""Runs a graph in floating point, node by node: for calibration, as a second opinion on `lower`, as the float model.

Weights are the quantized ones, `integers * scale`; a QuantizeNode rounds. So a graph whose every tensor is quantized
gives the integer network's values, up to floating point's error. A `FloatGraph` has its own weights, and its layers
compute in float32 with Keras's operations (`float32_operations`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.frontend.float_graph_reader import FloatGraph
from stq_deploy.frontend.integer_functions import StatedLevels
from stq_deploy.lowering.float32_operations import FLOAT32_OPERATIONS
from stq_deploy.lowering.float_evaluation import quantized_level
from stq_deploy.lowering.functions import FUNCTIONS
from stq_deploy.lowering.step_function import step_function
from stq_deploy.network.ops import Window

Reals = npt.NDArray[np.floating[Any]]


def run_graph(
    source: s.SourceGraph | FloatGraph, x: Reals, nodes: Sequence[int] | None = None
) -> Iterator[tuple[int, Reals]]:
    """(position, values (N, *shape)) of every node in order, for inputs (N, *input shape), in x's precision.

    Args:
        nodes: run only these; every node that one of them reads must be among them. Default: all.
    """
    order = range(len(source.nodes)) if nodes is None else sorted(nodes)
    operations = _RUN | FLOAT32_OPERATIONS if isinstance(source, FloatGraph) else _RUN
    unread = Counter(read for n in order for read in source.nodes[n].inputs)
    values: dict[int, Reals] = {}
    for n in order:
        node = source.nodes[n]
        inputs = [values[read] for read in node.inputs]
        operation = operations[type(node)] if not isinstance(node, s.InputNode) else None
        values[n] = x if operation is None else operation(node, inputs, node_weights(source, n, x.dtype))
        values[n] = values[n].astype(x.dtype, copy=False)
        yield n, values[n]
        unread.subtract(node.inputs)
        for done in [read for read in values if unread[read] == 0]:  # it would fill the memory
            del values[done]


def float_view(source: s.SourceGraph) -> FloatGraph:
    """A model with its floating-point weights where post-training quantization has rounded them, else the quantized."""
    stored = {n: node_weights(source, n, np.float32) for n in (*source.kernels, *source.biases)}
    weights = {n: values.astype(np.float32) for n, values in (stored | source.floats).items()}
    return FloatGraph(source.nodes, source.outputs, weights, source.name, source.file)


def apply_node(node: s.Node, inputs: list[Reals], weights: Reals) -> Reals:
    """A node's values (N, *shape) for those of its inputs, in the precision of the first.

    Args:
        weights: its kernel or bias as real numbers; empty for a node that has neither.
    """
    return np.asarray(_RUN[type(node)](node, inputs, weights)).astype(inputs[0].dtype, copy=False)


def node_weights(source: s.SourceGraph | FloatGraph, n: int, dtype: npt.DTypeLike) -> Reals:
    """A node's kernel or bias as real numbers, empty for a node that has neither."""
    if isinstance(source, FloatGraph):
        return source.weights[n].astype(dtype) if n in source.weights else np.zeros(0, dtype)
    if n in source.biases:
        return source.biases[n].astype(dtype)
    if n not in source.kernels:
        return np.zeros(0, dtype)
    kernel = source.kernels[n]
    scale = kernel.scale
    if isinstance(source.nodes[n], s.DepthwiseNode):
        scale = scale.reshape(kernel.integers.shape[-2:])
    return (kernel.integers * scale).astype(dtype)


def window_taps(window: Window, x: Reals, fill: float) -> Iterator[tuple[int, int, Reals]]:
    """(row, column, inputs (N, OH, OW, C) under this element of the window), padded with `fill`."""
    (top, left), (bottom, right) = window.pad_before, window.pad_after
    height, width = window.output_size(x.shape[1], x.shape[2])
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    for i in range(window.size[0]):
        for j in range(window.size[1]):
            rows = slice(i * window.dilation[0], i * window.dilation[0] + (height - 1) * window.stride[0] + 1)
            columns = slice(j * window.dilation[1], j * window.dilation[1] + (width - 1) * window.stride[1] + 1)
            yield i, j, padded[:, rows, columns][:, :: window.stride[0], :: window.stride[1]]


def _convolve(node: s.ConvolveNode, inputs: list[Reals], weights: Reals) -> Reals:
    (x,) = inputs
    groups = x.shape[3] // weights.shape[2]
    parts = []
    for inside, kernel in zip(np.split(x, groups, axis=3), np.split(weights, groups, axis=3), strict=True):
        total = np.zeros((len(x), *node.shape[:2], kernel.shape[3]), x.dtype)
        for i, j, met in window_taps(node.window, inside, 0):
            total += (met.reshape(-1, met.shape[3]) @ kernel[i, j]).reshape(total.shape)
        parts.append(total)
    return np.concatenate(parts, axis=3)


def _depthwise(node: s.DepthwiseNode, inputs: list[Reals], weights: Reals) -> Reals:
    (x,) = inputs
    total = np.zeros((len(x), *node.shape[:2], *weights.shape[2:]), x.dtype)
    for i, j, met in window_taps(node.window, x, 0):
        total += met[..., None] * weights[i, j]
    return total.reshape(len(x), *node.shape)


def _dense(node: s.DenseNode, inputs: list[Reals], weights: Reals) -> Reals:
    return np.asarray(inputs[0] @ weights)


def _bias(node: s.BiasNode, inputs: list[Reals], weights: Reals) -> Reals:
    return inputs[0] + weights


def _batch_norm(node: s.BatchNormNode, inputs: list[Reals], weights: Reals) -> Reals:
    factor = node.gamma / np.sqrt(node.variance.astype(np.float64) + np.float32(node.epsilon))
    return inputs[0] * factor + (node.beta - node.mean * factor)


def _quantize(node: s.QuantizeNode, inputs: list[Reals], weights: Reals) -> Reals:
    step = float(step_function(node.quantizer).step)
    return quantized_level(node.quantizer, inputs[0].astype(np.float64)) * step


def _wrap(node: s.WrapNode, inputs: list[Reals], weights: Reals) -> Reals:
    levels = inputs[0].astype(np.float64) / float(node.step)
    rounded = np.rint(levels) if node.rounding == "half_even" else np.floor(levels + 0.5 * (node.rounding == "half_up"))
    low = np.array(node.low, np.float64)
    return np.asarray(((rounded - low) % np.array(node.count, np.float64) + low) * float(node.step))


def _integers(node: s.IntegerNode, inputs: list[Reals], weights: Reals) -> Reals:
    scale = float(node.levels.scale)
    slope = np.array([float(v) or 1.0 for v in node.function.slope(node.shape[-1])])
    acc = np.rint(inputs[0].astype(np.float64) / (slope * scale)).astype(np.int64)
    return _real(node.function.level(acc), node.levels)


def _integer_sum(node: s.IntegerSumNode, inputs: list[Reals], weights: Reals) -> Reals:
    a, b = (x.astype(np.float64) for x in inputs)
    level = np.rint((a + node.function.terms[1].sign * b) / float(node.levels.scale)) + node.levels.zero_point
    return _real(level, node.levels)


def _integer_table(node: s.IntegerTableNode, inputs: list[Reals], weights: Reals) -> Reals:
    level = np.rint(inputs[0].astype(np.float64) / float(node.source.scale)).astype(np.int64) + node.source.zero_point
    return _real(node.table.astype(np.int64)[np.clip(level, -128, 127) + 128], node.levels)


def _real(level: npt.NDArray[Any], levels: StatedLevels) -> Reals:
    return np.asarray((np.clip(level, levels.low, levels.high) - levels.zero_point) * float(levels.scale))


def _affine(node: s.AffineNode, inputs: list[Reals], weights: Reals) -> Reals:
    return inputs[0] * np.array(node.factor, np.float64) + np.array(node.offset, np.float64)


def _clip(node: s.ClipNode, inputs: list[Reals], weights: Reals) -> Reals:
    low = -np.inf if node.low is None else float(node.low)
    return np.clip(inputs[0], low, np.inf if node.high is None else float(node.high))


def _leaky(node: s.LeakyNode, inputs: list[Reals], weights: Reals) -> Reals:
    return np.where(inputs[0] < 0, inputs[0] * float(node.slope), inputs[0])


def _function(node: s.FunctionNode, inputs: list[Reals], weights: Reals) -> Reals:
    return FUNCTIONS[node.function].floats(inputs[0], node.parameters)


def _softmax(node: s.SoftmaxNode, inputs: list[Reals], weights: Reals) -> Reals:
    powers = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _combine(node: s.CombineNode, inputs: list[Reals], weights: Reals) -> Reals:
    return reduce(_COMBINE[type(node)], inputs)


def _average(node: s.AverageNode, inputs: list[Reals], weights: Reals) -> Reals:
    return reduce(np.add, inputs) / len(inputs)


def _max_pool(node: s.MaxPoolNode, inputs: list[Reals], weights: Reals) -> Reals:
    return reduce(np.maximum, (met for _, _, met in window_taps(node.window, inputs[0], -np.inf)))


def _average_pool(node: s.AveragePoolNode, inputs: list[Reals], weights: Reals) -> Reals:
    (x,) = inputs
    total = reduce(np.add, (met for _, _, met in window_taps(node.window, x, 0)))
    return np.asarray(total / node.window.count(x.shape[1], x.shape[2])[:, :, None])


def _reshape(node: s.ReshapeNode, inputs: list[Reals], weights: Reals) -> Reals:
    return inputs[0].reshape(len(inputs[0]), *node.shape)


def _pad(node: s.PadNode, inputs: list[Reals], weights: Reals) -> Reals:
    return np.pad(inputs[0], ((0, 0), *zip(node.before, node.after, strict=True), (0, 0)))


def _crop(node: s.CropNode, inputs: list[Reals], weights: Reals) -> Reals:
    (top, left), (height, width) = node.before, node.shape[:2]
    return inputs[0][:, top : top + height, left : left + width]


def _upsample(node: s.UpsampleNode, inputs: list[Reals], weights: Reals) -> Reals:
    return inputs[0].repeat(node.size[0], axis=1).repeat(node.size[1], axis=2)


def _concatenate(node: s.ConcatenateNode, inputs: list[Reals], weights: Reals) -> Reals:
    return np.concatenate(inputs, axis=node.axis + 1)


def _pass(node: s.PassNode, inputs: list[Reals], weights: Reals) -> Reals:
    return inputs[0]


_COMBINE: dict[type[s.CombineNode], Callable[[Reals, Reals], Reals]] = {
    s.AddNode: np.add,
    s.SubtractNode: np.subtract,
    s.MultiplyNode: np.multiply,
    s.MaximumNode: np.maximum,
    s.MinimumNode: np.minimum,
}

_RUN: dict[type[s.Node], Callable[[Any, list[Reals], Reals], Reals]] = {
    s.ConvolveNode: _convolve,
    s.DepthwiseNode: _depthwise,
    s.DenseNode: _dense,
    s.BiasNode: _bias,
    s.BatchNormNode: _batch_norm,
    s.QuantizeNode: _quantize,
    s.WrapNode: _wrap,
    s.IntegerNode: _integers,
    s.IntegerSumNode: _integer_sum,
    s.IntegerTableNode: _integer_table,
    s.AffineNode: _affine,
    s.ClipNode: _clip,
    s.LeakyNode: _leaky,
    s.FunctionNode: _function,
    s.SoftmaxNode: _softmax,
    **dict.fromkeys(_COMBINE, _combine),
    s.AverageNode: _average,
    s.MaxPoolNode: _max_pool,
    s.AveragePoolNode: _average_pool,
    s.ReshapeNode: _reshape,
    s.PadNode: _pad,
    s.CropNode: _crop,
    s.UpsampleNode: _upsample,
    s.ConcatenateNode: _concatenate,
    s.PassNode: _pass,
}
