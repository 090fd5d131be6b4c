"""Scales channels between layers, so that those of a tensor, and the weights that read them, have similar ranges.

Between two layers may lie a relu, or another function with `f(s x) = s f(x)` for s > 0. Then the channels of the first
layer may be multiplied by any s, and the weights that read them divided by it. That is cross-layer equalization [1,
section 4.1]. Weights have a scale for each output channel here, so the first layer's weights do not gain. The tensor
between the layers has one scale for all channels. So the range of its values on calibration samples stands for the
first layer's weights [2, equation 4].

- [1] Nagel et al., "Data-free quantization through weight equalization and bias correction", 2019, arXiv:1906.04721.
- [2] Xiao et al., "SmoothQuant", 2022, arXiv:2211.10438.

The factors are powers of two. So every product in floating point stays what it was, and the model's outputs do not
change by a single bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.frontend.int8_kernels import int8_kernel
from stq_deploy.lowering.float_graph import float_view, run_graph

Reals = npt.NDArray[np.floating[Any]]

_LARGEST = 2.0**6
"""A channel's range changes by this factor at most."""
_BATCH = 32
_HOMOGENEOUS = (s.MaxPoolNode, s.AveragePoolNode, s.PadNode, s.CropNode, s.UpsampleNode, s.PassNode, s.LeakyNode)


@dataclass(frozen=True)
class Link:
    """A tensor whose channels may be scaled.

    Attributes:
        maker: the node that is scaled: a batch normalization, a bias, or a layer with weights.
        readers: layers with weights that read the tensor, as it is or through functions with f(s x) = s f(x).
    """

    maker: int
    readers: tuple[int, ...]


def find_links(source: s.SourceGraph) -> tuple[Link, ...]:
    """Every tensor between layers with floating-point weights whose channels may be scaled."""
    found = ((n, _readers(source, n)) for n in range(len(source.nodes)) if _can_be_scaled(source, n))
    return tuple(Link(n, readers) for n, readers in found if readers)


def equalize(source: s.SourceGraph, x: Reals) -> s.SourceGraph:
    """The graph with equalized channels; its values at the outputs are the same.

    Args:
        x: calibration samples (N, *input shape), float32, as the model sees them.
    """
    links = find_links(source)
    ranges = _largest_values(source, [link.maker for link in links], x)
    for link in links:
        source = _scaled(source, link, _factors(source, link, ranges[link.maker]))
    return source


def _can_be_scaled(source: s.SourceGraph, n: int) -> bool:
    node = source.nodes[n]
    if isinstance(node, s.BiasNode):
        before = node.inputs[0]
        return before in source.floats and _reading(source, before) == [n] and before not in source.outputs
    return isinstance(node, s.BatchNormNode) or n in source.floats


def _reading(source: s.SourceGraph, n: int) -> list[int]:
    return [m for m, node in enumerate(source.nodes) if n in node.inputs]


def _readers(source: s.SourceGraph, n: int) -> tuple[int, ...]:
    """All layers that read node n, through functions that scaling passes; empty if anything else reads it."""
    found: list[int] = []
    waiting = [n]
    while waiting:
        at = waiting.pop()
        reading = _reading(source, at)
        if at in source.outputs or not reading:
            return ()
        for m in reading:
            if m in source.floats and _reads_channels(source, m):
                found.append(m)
            elif _passes(source, m):
                waiting.append(m)
            else:
                return ()
    return tuple(sorted(set(found)))


def _reads_channels(source: s.SourceGraph, n: int) -> bool:
    """Whether a layer's weights have an axis of their own for the channels of its input."""
    node, shape = source.nodes[n], source.floats[n].shape
    channels = source.nodes[node.inputs[0]].shape[-1]
    return isinstance(node, s.DepthwiseNode) or shape[-2] == channels  # a convolution of several groups has fewer


def _passes(source: s.SourceGraph, n: int) -> bool:
    """Whether a node f has f(s x) = s f(x), channel by channel."""
    node = source.nodes[n]
    if isinstance(node, s.ReshapeNode):
        return node.shape[-1] == source.nodes[node.inputs[0]].shape[-1]
    if isinstance(node, s.ClipNode):
        return node.low in (None, 0) and node.high in (None, 0)
    return isinstance(node, _HOMOGENEOUS)


def _largest_values(source: s.SourceGraph, nodes: Sequence[int], x: Reals) -> dict[int, npt.NDArray[np.float64]]:
    """Node -> the largest magnitude of each channel, after the relu behind it if there is one."""
    floats = float_view(source)
    found = {n: np.zeros(source.nodes[n].shape[-1]) for n in nodes}
    after = {_rectified(source, n): n for n in nodes}
    for start in range(0, len(x), _BATCH):
        for m, values in run_graph(floats, x[start : start + _BATCH]):
            if m in after:
                largest = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
                found[after[m]] = np.maximum(found[after[m]], largest)
    return found


def _rectified(source: s.SourceGraph, n: int) -> int:
    reading = _reading(source, n)
    return reading[0] if len(reading) == 1 and isinstance(source.nodes[reading[0]], s.ClipNode | s.LeakyNode) else n


def _factors(source: s.SourceGraph, link: Link, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """s of each channel: sqrt(range of the weights / range of the values), rounded to a power of two."""
    weights = np.zeros_like(values)
    for n in link.readers:
        if not isinstance(source.nodes[n], s.DepthwiseNode):
            kernel = np.abs(source.floats[n])
            weights = np.maximum(weights, kernel.max(axis=tuple(a for a in range(kernel.ndim) if a != kernel.ndim - 2)))
    only_depthwise = not weights.any()  # their weights have a scale for each of these channels
    wanted = np.ones_like(values)
    known = (values > 0) & ((weights > 0) | only_depthwise)
    if known.any():
        ratio = 1 / values[known] if only_depthwise else np.sqrt(weights[known] / values[known])
        wanted[known] = ratio / np.exp(np.log(ratio).mean())
    powers = np.clip(np.rint(np.log2(wanted)), -np.log2(_LARGEST), np.log2(_LARGEST))
    return (2.0**powers).astype(np.float32)


def _scaled(source: s.SourceGraph, link: Link, factors: npt.NDArray[np.float32]) -> s.SourceGraph:
    """The graph with a tensor's channels multiplied, and the weights that read them divided."""
    nodes, floats, biases = list(source.nodes), dict(source.floats), dict(source.biases)
    maker = nodes[link.maker]
    if isinstance(maker, s.BatchNormNode):
        gamma, beta = maker.gamma * factors, maker.beta * factors
        nodes[link.maker] = replace(maker, gamma=gamma, beta=beta)
    elif isinstance(maker, s.BiasNode):
        biases[link.maker] = biases[link.maker] * factors
        floats[maker.inputs[0]] = _outputs_times(source, maker.inputs[0], factors)
    else:
        floats[link.maker] = _outputs_times(source, link.maker, factors)
    for n in link.readers:
        floats[n] = floats[n] / factors[:, None]  # input channels are the last axis but one
    changed = [n for n in floats if floats[n] is not source.floats[n]]
    kernels = {n: int8_kernel(floats[n], isinstance(nodes[n], s.DepthwiseNode)) for n in changed}
    return replace(source, nodes=tuple(nodes), floats=floats, biases=biases, kernels=source.kernels | kernels)


def _outputs_times(source: s.SourceGraph, n: int, factors: npt.NDArray[np.float32]) -> s.FloatArray:
    values = source.floats[n]
    if isinstance(source.nodes[n], s.DepthwiseNode):
        return values * factors.reshape(values.shape[-2:])
    return values * factors
