"""Goes through the layers in order, and chooses the integers of each one's weights for the inputs that it will get.

Two runs over the calibration samples stand side by side: the floating-point model, and the model as far as it is
quantized. Each layer has the values of the second run as its inputs, and the sums of the first as its aim. So a layer
also makes up for what the layers before it have changed. What remains of a mean difference goes into the layer's bias:
empirical bias correction [1, section 4.2].

- [1] Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, arXiv:1906.04721.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.progress import Progress, silent
from stq_deploy.frontend import source as s
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.after_training.few_bits import few_bit_kernel, integer_range, kernel_values
from stq_deploy.lowering.after_training.method import WeightMethod
from stq_deploy.lowering.after_training.moments import Moments, grouped, measure_moments, ungrouped
from stq_deploy.lowering.after_training.rounding import MOST_WORK, round_adaptively, rounding_work
from stq_deploy.lowering.float_graph import apply_node, node_weights
from stq_deploy.lowering.inserted_nodes import insert_nodes
from stq_deploy.lowering.structure import find_ending, find_live

Reals = npt.NDArray[np.floating[Any]]

SAMPLES = 256
"""Calibration samples that the weights are chosen on, at most."""
ROUNDING = "rounding weights"
"""The stage of `progress`."""
_MOST_ELEMENTS = 1 << 25
"""Elements of a tensor over all samples; a model of larger tensors gets fewer samples."""
_FEWEST = 8
_BATCH = 16


def few_samples(source: s.SourceGraph, x: Reals, most: int = SAMPLES) -> Reals:
    """Samples, spread evenly over `x`, whose tensors fit the memory; at least 8 where there are as many."""
    largest = max(int(np.prod(node.shape)) for node in source.nodes)
    count = min(len(x), most, max(_FEWEST, _MOST_ELEMENTS // largest))
    return x[np.linspace(0, len(x) - 1, count).astype(np.int64)]


def with_biases(source: s.SourceGraph) -> s.SourceGraph:
    """The graph with a bias of 0 after every layer with floating-point weights that has none."""
    bare = [n for n in source.floats if _bias_of(source, n) is None]
    graph, read = insert_nodes(source, dict.fromkeys(bare, (s.BiasNode,)))
    added = {read[n]: np.zeros(source.nodes[n].shape[-1]) for n in bare}
    return replace(graph, biases=graph.biases | added)


def few_bit_weights(source: s.SourceGraph, bits: Mapping[int, int]) -> s.SourceGraph:
    """The graph with each floating-point kernel rounded to the nearest of so many bits."""
    kernels = {n: few_bit_kernel(source.floats[n], _is_depthwise(source, n), b) for n, b in bits.items()}
    return replace(source, kernels=source.kernels | kernels)


def choose_weights(
    source: s.SourceGraph,
    quantizers: Mapping[int, Quantizer],
    x: Reals,
    bits: Mapping[int, int],
    method: WeightMethod,
    progress: Progress = silent,
) -> s.SourceGraph:
    """The graph with its floating-point kernels as integers of so many bits, and its biases corrected.

    Args:
        source: each layer with floating-point weights has a bias if `method.correct` (`with_biases`).
        quantizers: position -> what quantizes the node's values, which all its readers read.
        x: calibration samples (N, *input shape), float32, as the model sees them.
        bits: position -> 2, 4 or 8, for each of `source.floats`.
        progress: its stage counts layers.
    """
    walk = _LayerPass(few_bit_weights(source, bits), quantizers, few_samples(source, x), method)
    layers = [n for n in walk.order if n in source.floats]
    progress(ROUNDING, 0, len(layers))
    for n in walk.order:
        walk.take(n)
        if n in source.floats:
            progress(ROUNDING, layers.index(n) + 1, len(layers))
    return replace(walk.source, kernels=walk.kernels, biases=walk.biases)


@dataclass(frozen=True, eq=False)
class _BothRuns:
    """A node's values (N, *shape) in the floating-point model, and as the quantized one has them."""

    exact: Reals
    ours: Reals


class _LayerPass:
    """Both runs, node by node."""

    def __init__(
        self, source: s.SourceGraph, quantizers: Mapping[int, Quantizer], x: Reals, method: WeightMethod
    ) -> None:
        self.source = source
        self.kernels, self.biases = dict(source.kernels), dict(source.biases)
        self._quantizers, self._x, self._method = quantizers, x, method
        live = find_live(source, tuple(find_ending(source, n).logits for n in source.outputs))
        self.order = sorted(live)
        self._unread = Counter(read for n in live for read in source.nodes[n].inputs)
        self._values: dict[int, _BothRuns] = {}
        self._missing: dict[int, npt.NDArray[np.float64]] = {}  # bias node -> what its layer's sums lack on average

    def take(self, n: int) -> None:
        """The next node."""
        node = self.source.nodes[n]
        before = [self._values[read] for read in node.inputs]
        if isinstance(node, s.InputNode):
            found = _BothRuns(self._x, self._x)
        elif n in self.source.floats:
            found = self._weighted(n, before[0])
        else:
            found = self._other(n, before)
        if n in self._quantizers:
            grid = s.QuantizeNode(node.layer, (n,), node.shape, self._quantizers[n])
            found = _BothRuns(found.exact, _run(grid, [found.ours], np.zeros(0, np.float32)))
        self._values[n] = found
        self._unread.subtract(node.inputs)
        for done in [read for read in self._values if self._unread[read] == 0]:
            del self._values[done]

    def _weighted(self, n: int, x: _BothRuns) -> _BothRuns:
        node, floats = self.source.nodes[n], self.source.floats[n].astype(np.float32)
        wanted = _run(node, [x.exact], floats)
        if self._method.adaptive:
            residual = wanted - _run(node, [x.ours], floats)
            moments = measure_moments(node, floats.shape, x.ours, residual, centered=self._method.correct)
            self.kernels[n] = adaptive_kernel(self.kernels[n], floats, node, x.ours.shape[-1], moments)
        ours = _run(node, [x.ours], kernel_values(self.kernels[n], _is_depthwise(self.source, n)).astype(np.float32))
        bias = _bias_of(self.source, n)
        if self._method.correct and bias is not None:
            lacking = (wanted - ours).reshape(-1, node.shape[-1]).mean(axis=0, dtype=np.float64)
            self._missing[bias] = lacking.astype(np.float32).astype(np.float64)  # few digits keep the arithmetic short
        return _BothRuns(wanted, ours)

    def _other(self, n: int, before: list[_BothRuns]) -> _BothRuns:
        node = self.source.nodes[n]
        weights = node_weights(self.source, n, np.float32)
        exact = _run(node, [pair.exact for pair in before], weights)
        if n in self._missing:
            self.biases[n] = self.biases[n] + self._missing[n]
            weights = self.biases[n].astype(np.float32)
        return _BothRuns(exact, _run(node, [pair.ours for pair in before], weights))


def adaptive_kernel(
    kernel: s.IntegerKernel, floats: Reals, node: s.Node, channels: int, moments: Moments
) -> s.IntegerKernel:
    """A kernel with each weight rounded up or down for the least error of the sums; too large a layer stays as it is.

    Args:
        kernel: the nearest integers. Of fewer than 8 bits, the scale is chosen anew: each weight counts as its input.
        channels: of the node's input.
    """
    exact = grouped(floats.astype(np.float64), node, channels)
    if rounding_work(exact) > MOST_WORK:
        return kernel
    counts = np.broadcast_to(np.einsum("gkk->gk", moments.inputs)[:, None], exact.shape)
    importance = ungrouped(counts, node, floats.shape)
    kernel = few_bit_kernel(floats, isinstance(node, s.DepthwiseNode), kernel.bits, importance)
    nearest = grouped(kernel.integers.astype(np.int64), node, channels)
    scale = kernel.scale.reshape(exact.shape[:2])
    found = round_adaptively(exact, scale, nearest, integer_range(kernel.bits), moments)
    return replace(kernel, integers=ungrouped(found, node, floats.shape).astype(np.int8))


def _run(node: s.Node, inputs: list[Reals], weights: Reals) -> Reals:
    """A node on all samples, some at a time."""
    starts = range(0, len(inputs[0]), _BATCH)
    return np.concatenate([apply_node(node, [x[i : i + _BATCH] for x in inputs], weights) for i in starts])


def _is_depthwise(source: s.SourceGraph, n: int) -> bool:
    return isinstance(source.nodes[n], s.DepthwiseNode)


def _bias_of(source: s.SourceGraph, n: int) -> int | None:
    """The position of the bias that alone reads the sums of node n; None if there is none."""
    readers = [m for m, node in enumerate(source.nodes) if n in node.inputs]
    if len(readers) == 1 and n not in source.outputs and isinstance(source.nodes[readers[0]], s.BiasNode):
        return readers[0]
    return None
