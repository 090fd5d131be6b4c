"""What few bits of a single layer's weights do to the model's outputs: the noise by which bits are chosen.

For each layer and width, the weights of that layer alone are rounded to the nearest, and its mean is corrected. The
noise is the squared change of the outputs before their softmax, relative to the outputs' variance: a number without
unit, summed over the outputs. Noise of several layers is taken to add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.progress import Progress, silent
from stq_deploy.frontend import source as s
from stq_deploy.lowering.after_training.few_bits import few_bit_kernel, kernel_values
from stq_deploy.lowering.float_graph import apply_node, node_weights
from stq_deploy.lowering.structure import find_ending, find_live

Reals = npt.NDArray[np.floating[Any]]

MEASURING = "measuring sensitivity"
"""The stage of `progress`."""
_MOST_ELEMENTS = 1 << 27
"""Elements of all tensors over all samples together, which are kept."""


def measure_sensitivity(
    source: s.SourceGraph, x: Reals, widths: Sequence[int], progress: Progress = silent
) -> dict[int, dict[int, float]]:
    """Position of each layer with floating-point weights -> bits -> noise, at least 0.

    Args:
        x: calibration samples (N, *input shape), float32; as many are used as fit the memory.
        progress: its stage counts layers.
    """
    outputs = tuple(find_ending(source, n).logits for n in source.outputs)
    order = sorted(find_live(source, outputs))
    elements = sum(int(np.prod(source.nodes[n].shape)) for n in order)
    x = x[: max(1, _MOST_ELEMENTS // elements)]
    exact: dict[int, Reals] = {}
    for n in order:
        exact[n] = x if n == 0 else _value(source, n, exact)
    variance = {n: float(np.var(exact[n], dtype=np.float64)) or 1.0 for n in outputs}
    layers = [n for n in order if n in source.floats]
    found: dict[int, dict[int, float]] = {}
    progress(MEASURING, 0, len(layers))
    for done, layer in enumerate(layers, start=1):
        behind = _behind(source, layer, order)
        found[layer] = {}
        for bits in widths:
            values = exact | {layer: _rounded(source, layer, bits, exact)}
            for n in behind:
                values[n] = _value(source, n, values)
            found[layer][bits] = sum(
                float(np.mean((values[n] - exact[n]).astype(np.float64) ** 2)) / variance[n] for n in outputs
            )
        progress(MEASURING, done, len(layers))
    return found


def _behind(source: s.SourceGraph, layer: int, order: Sequence[int]) -> list[int]:
    """The nodes that depend on a layer, in order."""
    reached = {layer}
    for n in order:
        if not reached.isdisjoint(source.nodes[n].inputs):
            reached.add(n)
    return sorted(reached - {layer})


def _value(source: s.SourceGraph, n: int, values: dict[int, Reals]) -> Reals:
    inputs = [values[read] for read in source.nodes[n].inputs]
    own = source.floats[n].astype(np.float32) if n in source.floats else node_weights(source, n, np.float32)
    return apply_node(source.nodes[n], inputs, own)


def _rounded(source: s.SourceGraph, n: int, bits: int, exact: dict[int, Reals]) -> Reals:
    """The sums of a layer with rounded weights, of the mean that exact weights give."""
    node, depthwise = source.nodes[n], isinstance(source.nodes[n], s.DepthwiseNode)
    kernel = kernel_values(few_bit_kernel(source.floats[n], depthwise, bits), depthwise).astype(np.float32)
    sums = apply_node(node, [exact[node.inputs[0]]], kernel)
    axes = tuple(range(sums.ndim - 1))
    return np.asarray(sums + (exact[n].mean(axis=axes) - sums.mean(axis=axes)))
