"""What a weighted layer's inputs are like on average: the moments that decide how an error of a weight counts.

A layer's sums are `W p` for patches p of its input. A change E of its weights moves them by `E p`. The squared distance
to the sums that are wanted is on average `E H E' - 2 E D' + constant`, with the moments H and D.
Weights fall into groups which read the same inputs: a convolution's groups, or each channel of a depthwise convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.lowering.float_graph import window_taps

Reals = npt.NDArray[np.float64]
Values = npt.NDArray[np.floating[Any]]
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of a layer over all patches of all samples, in G groups of M outputs that read K inputs each.

    Attributes:
        inputs: H, (G, K, K): mean of p p'.
        wanted: D, (G, M, K): mean of r p', where r is how far the sums with exact weights are from those wanted.
    """

    inputs: Reals
    wanted: Reals


def grouped(values: npt.NDArray[Any], node: s.Node, channels: int) -> npt.NDArray[Any]:
    """A kernel (shaped as the node's) as (G, M, K).

    Args:
        channels: of the node's input.
    """
    if isinstance(node, s.DenseNode):
        return values.T[None]
    if isinstance(node, s.DepthwiseNode):
        return values.reshape(-1, *values.shape[2:]).transpose(1, 2, 0)
    groups = channels // values.shape[2]
    return values.reshape(-1, groups, values.shape[3] // groups).transpose(1, 2, 0)


def ungrouped(values: npt.NDArray[Any], node: s.Node, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The reverse of `grouped`, for a kernel of this shape."""
    return values[0].T if isinstance(node, s.DenseNode) else values.transpose(2, 0, 1).reshape(shape)


def measure_moments(
    node: s.Node, shape: tuple[int, ...], inputs: Values, residuals: Values, *, centered: bool
) -> Moments:
    """The moments of a layer.

    Args:
        shape: of its kernel.
        inputs: (N, *input shape), as the layer reads them.
        residuals: (N, *output shape): the sums wanted, minus those of exact weights on `inputs`.
        centered: whether a bias will correct the mean, which then does not count.
    """
    groups, outputs, each = grouped(np.empty(shape, np.bool_), node, inputs.shape[-1]).shape
    products, crossed = np.zeros((groups, each, each)), np.zeros((groups, outputs, each))
    mean, mean_rest = np.zeros((groups, each)), np.zeros((groups, outputs))
    count = 0
    for start in range(0, len(inputs), _BATCH):
        patches = _patches(node, groups, inputs[start : start + _BATCH])
        rest = residuals[start : start + _BATCH].reshape(-1, groups, outputs).transpose(1, 0, 2)
        products += np.matmul(patches.transpose(0, 2, 1), patches)
        crossed += np.matmul(rest.transpose(0, 2, 1), patches)
        mean += patches.sum(axis=1, dtype=np.float64)
        mean_rest += rest.sum(axis=1, dtype=np.float64)
        count += patches.shape[1]
    products, crossed, mean, mean_rest = products / count, crossed / count, mean / count, mean_rest / count
    if centered:
        products -= mean[:, :, None] * mean[:, None, :]
        crossed -= mean_rest[:, :, None] * mean[:, None, :]
    return Moments(products, crossed)


def _patches(node: s.Node, groups: int, x: Values) -> Values:
    """(G, P, K): what the outputs of each group read, at every place of some samples."""
    if isinstance(node, s.DenseNode):
        return x.reshape(1, -1, x.shape[-1])
    assert isinstance(node, s.ConvolveNode | s.DepthwiseNode)
    taps = np.stack([met for _, _, met in window_taps(node.window, x, 0)], axis=-2)
    taps = taps.reshape(-1, taps.shape[-2], groups, taps.shape[-1] // groups)  # (P, taps, G, channels of a group)
    return taps.transpose(2, 0, 1, 3).reshape(groups, len(taps), -1)
