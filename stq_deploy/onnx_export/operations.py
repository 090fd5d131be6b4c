"""The network's operations as nodes of ONNX. Images are (N, C, H, W) there, as ONNX's convolutions take them.

A handler takes the names of its inputs' int64 levels, and gives the name of its output's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stq_deploy.network.ops import (
    Add,
    AveragePool,
    Concatenate,
    Convolve,
    Crop,
    Curve,
    Dense,
    DepthwiseConvolve,
    ElementwiseOp,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Op,
    Pad,
    PairTable,
    Rescale,
    Reshape,
    ScaledOp,
    Softmax,
    Table,
    Upsample,
    Window,
)
from stq_deploy.network.tensor import STORAGE_RANGE, TensorType
from stq_deploy.onnx_export.builder import GraphBuilder
from stq_deploy.onnx_export.requantized import SumTensor, requantized
from stq_deploy.onnx_export.sums import Integers, exact_sum


@dataclass(frozen=True)
class Site:
    """Where an operation stands: its inputs' levels (int64), and the types of all its tensors."""

    graph: GraphBuilder
    inputs: Sequence[str]
    types: Sequence[TensorType]
    output: TensorType

    def accumulator(self, name: str) -> SumTensor:
        return SumTensor(name, len(self.output.shape) - 1)


def to_channels_first(graph: GraphBuilder, name: str, rank: int) -> str:
    """(N, H, W, C) -> (N, C, H, W), for a tensor of this many axes besides the batch's; likewise for other ranks."""
    return name if rank == 1 else graph.transpose(name, (0, rank, *range(1, rank)))


def to_channels_last(graph: GraphBuilder, name: str, rank: int, output: str | None = None) -> str:
    """The reverse of `to_channels_first`."""
    return name if rank == 1 else graph.transpose(name, (0, *range(2, rank + 1), 1), output)


def _axis(axis: int, rank: int) -> int:
    """ONNX's number of an axis of the network's tensors, which have the channels last and no batch."""
    return 1 if axis == rank - 1 else axis + 2


def _slide(graph: GraphBuilder, x: str, kernel: str, window: Window, groups: int) -> str:
    """A convolution."""
    return graph.add(
        "Conv",
        [x, kernel],
        group=groups,
        kernel_shape=list(window.size),
        strides=list(window.stride),
        dilations=list(window.dilation),
        pads=[*window.pad_before, *window.pad_after],
    )


# Sums


def _convolve(op: Convolve, site: Site) -> str:
    groups = site.types[0].shape[2] // op.weights.shape[2]

    def product(x: str, weights: Integers, bits: int) -> str:
        kernel = site.graph.weights(weights.transpose(3, 2, 0, 1), bits)
        return _slide(site.graph, x, kernel, op.window, groups)

    weights = op.weights.astype(np.int64)
    total = exact_sum(site.graph, site.inputs[0], site.types[0], weights, op.weight_bits, 1, product)
    return requantized(site.graph, site.accumulator(total), op.requantize)


def _depthwise(op: DepthwiseConvolve, site: Site) -> str:
    rows, columns, channels, multiplier = op.weights.shape

    def product(x: str, weights: Integers, bits: int) -> str:
        split = weights.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, rows, columns)
        return _slide(site.graph, x, site.graph.weights(split, bits), op.window, channels)

    weights = op.weights.astype(np.int64)
    total = exact_sum(site.graph, site.inputs[0], site.types[0], weights, op.weight_bits, 2, product)
    return requantized(site.graph, site.accumulator(total), op.requantize)


def _dense(op: Dense, site: Site) -> str:
    def product(x: str, weights: Integers, bits: int) -> str:
        return site.graph.add("MatMul", [x, site.graph.weights(weights, bits)])

    weights = op.weights.astype(np.int64)
    total = exact_sum(site.graph, site.inputs[0], site.types[0], weights, op.weight_bits, 1, product)
    return requantized(site.graph, site.accumulator(total), op.requantize)


def _average_pool(op: AveragePool, site: Site) -> str:
    (x,) = site.types
    channels = x.shape[2]

    def product(value: str, ones: Integers, bits: int) -> str:
        kernel = site.graph.constant(ones.transpose(3, 2, 0, 1), np.float32)
        return _slide(site.graph, value, kernel, op.window, channels)

    ones = np.ones((*op.window.size, 1, channels), np.int64)
    total = exact_sum(site.graph, site.inputs[0], x, ones, 1, 1, product)
    weights = op.multiple(x) // op.window.count(x.shape[0], x.shape[1])
    uniform = (weights == weights.flat[0]).all()
    total = site.graph.times(total, weights.flat[0] if uniform else weights)
    return requantized(site.graph, site.accumulator(total), op.requantize)


# Element by element


def _elementwise(op: ElementwiseOp, site: Site) -> str:
    graph = site.graph
    terms = [graph.sum(x, -spec.zero_point) for x, spec in zip(site.inputs, site.types, strict=True)]
    if isinstance(op, ScaledOp):
        terms = [graph.times(term, factor) for term, factor in zip(terms, op.factors, strict=True)]
    total = terms[0] if len(terms) == 1 else graph.add(_COMBINE[type(op)], terms)
    return requantized(graph, site.accumulator(total), op.requantize)


_COMBINE: dict[type[Op], str] = {Add: "Add", Maximum: "Max", Minimum: "Min", Multiply: "Mul"}


def _table(op: Table, site: Site) -> str:
    graph = site.graph
    return graph.add("Gather", [graph.constant(op.table.astype(np.int64)), graph.sum(site.inputs[0], 128)], axis=0)


def _pair_table(op: PairTable, site: Site) -> str:
    graph = site.graph
    a, b = (graph.sum(x, -spec.minimum) for x, spec in zip(site.inputs, site.types, strict=True))
    place = graph.add("Add", [graph.times(a, op.table.shape[1]), b])
    return graph.add("Gather", [graph.constant(op.table.astype(np.int64).ravel()), place], axis=0)


def _curve(op: Curve, site: Site) -> str:
    graph, shift, entries = site.graph, op.shift, len(op.table)
    table = op.table.astype(np.int64)
    step = table[-1] - table[-2] if entries > 1 else np.int64(0)
    extended = np.concatenate([table, table[-1] + step * np.array([1, 2])])
    first, second = np.diff(extended), np.diff(extended, 2)
    u = graph.clip(graph.sum(site.inputs[0], -op.base), 0, (entries - 1) << shift)
    k = graph.shift_right(u, shift)
    f = graph.add("Mod", [u, graph.constant(1 << shift)])

    def entry(values: Any) -> str:
        return graph.add("Gather", [graph.constant(values), k], axis=0)

    along = graph.add("Mul", [f, entry(first << (shift + 1))])
    bend = graph.add("Mul", [f, graph.sum(f, -(1 << shift))])
    product = graph.add("Add", [along, graph.add("Mul", [bend, entry(second)])])
    rounded = graph.shift_right(graph.sum(product, 1 << (2 * shift)), 2 * shift + 1)
    value = graph.add("Add", [entry(table), rounded])
    return graph.clip(value, site.output.minimum, site.output.maximum)


def _softmax(op: Softmax, site: Site) -> str:
    graph, x = site.graph, site.inputs[0]
    largest = graph.add("ReduceMax", [x], axes=[1], keepdims=1)
    differences = graph.add("Min", [graph.add("Sub", [largest, x]), graph.constant(len(op.table) - 1)])
    e = graph.add("Gather", [graph.constant(op.table.astype(np.int64)), differences], axis=0)
    total = graph.add("ReduceSum", [e, graph.constant([1])], keepdims=1)
    half = graph.shift_right(total, 1)
    quotient = graph.add("Div", [graph.add("Add", [graph.times(e, 1 << op.OUTPUT_BITS), half]), total])
    return graph.add("Min", [quotient, graph.constant((1 << op.OUTPUT_BITS) - 1)])


# Movements


def _max_pool(op: MaxPool, site: Site) -> str:
    graph, (x,) = site.graph, site.inputs
    pads = [0, 0, *op.window.pad_before, 0, 0, *op.window.pad_after]
    if any(pads):  # written out, since executors differ where a window begins in the padding
        lowest = STORAGE_RANGE[site.types[0].dtype][0]
        x = graph.add("Pad", [x, graph.constant(pads), graph.constant(lowest)], mode="constant")
    size, stride = list(op.window.size), list(op.window.stride)
    largest = graph.add("MaxPool", [graph.cast(x, np.float32)], kernel_shape=size, strides=stride)
    return graph.cast(largest, np.int64)


def _reshape(op: Reshape, site: Site) -> str:
    graph, rank, target = site.graph, len(site.types[0].shape), site.output.shape
    stored = to_channels_last(graph, site.inputs[0], rank)
    return to_channels_first(graph, graph.reshape(stored, (-1, *target)), len(target))


def _pad(op: Pad, site: Site) -> str:
    pads = [0, 0, *op.before, 0, 0, *op.after]
    zero = site.graph.constant(site.output.zero_point)
    return site.graph.add("Pad", [site.inputs[0], site.graph.constant(pads), zero], mode="constant")


def _crop(op: Crop, site: Site) -> str:
    ends = [b + n for b, n in zip(op.before, site.output.shape[:2], strict=True)]
    bounds = (site.graph.constant(each) for each in (list(op.before), ends, [2, 3]))
    return site.graph.add("Slice", [site.inputs[0], *bounds])


def _upsample(op: Upsample, site: Site) -> str:
    graph = site.graph
    scales = graph.constant([1.0, 1.0, *map(float, op.size)], np.float32)
    floats = graph.cast(site.inputs[0], np.float32)
    repeated = graph.add(
        "Resize", [floats, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )  # fmt: skip
    return graph.cast(repeated, np.int64)


def _concatenate(op: Concatenate, site: Site) -> str:
    graph = site.graph
    parts = [
        graph.sum(graph.times(graph.sum(x, -spec.zero_point), factor), site.output.zero_point)
        for x, spec, factor in zip(site.inputs, site.types, op.factors, strict=True)
    ]
    return graph.add("Concat", parts, axis=_axis(op.axis, len(site.output.shape)))


OPERATIONS: dict[type[Op], Callable[[Any, Site], str]] = {
    Convolve: _convolve,
    DepthwiseConvolve: _depthwise,
    Dense: _dense,
    AveragePool: _average_pool,
    MaxPool: _max_pool,
    **dict.fromkeys((Rescale, Add, Maximum, Minimum, Multiply), _elementwise),
    Table: _table,
    PairTable: _pair_table,
    Curve: _curve,
    Softmax: _softmax,
    Reshape: _reshape,
    Pad: _pad,
    Crop: _crop,
    Upsample: _upsample,
    Concatenate: _concatenate,
}
