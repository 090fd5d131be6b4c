"""A source graph in float64, by plain loops over windows: an independent path to what lowering must give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.lowering.float_evaluation import quantized_level
from stq_deploy.lowering.step_function import step_function
from stq_deploy.network.ops import Window

Reals = npt.NDArray[np.float64]


def source_values(source: s.SourceGraph, x: Reals) -> list[Reals]:
    """The value of every node, (N, *shape), for inputs x."""
    values: list[Reals] = []
    for n, node in enumerate(source.nodes):
        inputs = [values[m] for m in node.inputs]
        values.append(_value(source, n, node, inputs) if inputs else x)
        assert values[n].shape[1:] == node.shape, node
    return values


def _value(source: s.SourceGraph, n: int, node: s.Node, inputs: list[Reals]) -> Reals:
    x = inputs[0]
    match node:
        case s.ConvolveNode() | s.DepthwiseNode() | s.DenseNode():
            kernel = source.kernels[n]
            shape = kernel.integers.shape
            scale = kernel.scale.reshape(shape[-2:] if isinstance(node, s.DepthwiseNode) else shape[-1:])
            return _weighted(node, x, kernel.integers * scale)
        case s.BiasNode():
            return x + source.biases[n]
        case s.BatchNormNode():
            spread = np.sqrt(node.variance.astype(np.float64) + np.float64(np.float32(node.epsilon)))
            return node.gamma * (x - node.mean) / spread + node.beta
        case s.AffineNode():
            return x * np.array([float(f) for f in node.factor]) + np.array([float(o) for o in node.offset])
        case s.ClipNode():
            low, high = (None if bound is None else float(bound) for bound in (node.low, node.high))
            return np.clip(x, low, high)
        case s.LeakyNode():
            return np.where(x < 0, x * float(node.slope), x)
        case s.FunctionNode():
            return 1 / (1 + np.exp(-x)) if node.function == "sigmoid" else np.tanh(x)
        case s.QuantizeNode():
            return quantized_level(node.quantizer, x) * float(step_function(node.quantizer).step)
        case s.AverageNode():
            return sum(inputs) / len(inputs)
        case s.CombineNode():
            return _COMBINE[type(node)](inputs)
        case s.MaxPoolNode():
            return _pool(x, node.window, np.max)
        case s.AveragePoolNode():
            return _pool(x, node.window, np.mean)
        case s.PadNode():
            return np.pad(x, ((0, 0), *zip(node.before, node.after, strict=True), (0, 0)))
        case s.CropNode():
            (top, left), (height, width) = node.before, node.shape[:2]
            return x[:, top : top + height, left : left + width]
        case s.UpsampleNode():
            return np.kron(x, np.ones((1, *node.size, 1)))
        case s.ConcatenateNode():
            return np.concatenate(inputs, axis=node.axis + 1)
        case s.ReshapeNode():
            return x.reshape(len(x), *node.shape)
        case s.PassNode() | s.SoftmaxNode():
            return x
    raise AssertionError(f"{node} is not evaluated")


def _weighted(node: s.Node, x: Reals, weights: Reals) -> Reals:
    if isinstance(node, s.DenseNode):
        return x @ weights
    assert isinstance(node, s.ConvolveNode | s.DepthwiseNode)
    out = np.zeros((len(x), *node.shape))
    depth, filters = weights.shape[2:]
    groups = x.shape[3] // depth
    for r, c, covered in _windows(x, node.window):
        for (i, j), pixel in covered:
            if isinstance(node, s.DepthwiseNode):
                out[:, r, c] += (pixel[:, :, None] * weights[i, j]).reshape(len(x), -1)
            else:
                for g in range(groups):
                    outputs = slice(g * filters // groups, (g + 1) * filters // groups)
                    out[:, r, c, outputs] += pixel[:, g * depth : (g + 1) * depth] @ weights[i, j][:, outputs]
    return out


def _pool(x: Reals, window: Window, function: Any) -> Reals:
    rows = {(r, c): function([pixel for _, pixel in covered], axis=0) for r, c, covered in _windows(x, window)}
    height, width = (n + 1 for n in max(rows))
    return np.stack([np.stack([rows[r, c] for c in range(width)], axis=1) for r in range(height)], axis=1)


def _windows(x: Reals, window: Window) -> Any:
    """(row, column, [((i, j), pixel (N, C))]) of every window's elements that lie inside the image."""
    for r in range(window.output_size(*x.shape[1:3])[0]):
        for c in range(window.output_size(*x.shape[1:3])[1]):
            covered = []
            for i in range(window.size[0]):
                for j in range(window.size[1]):
                    y = r * window.stride[0] - window.pad_before[0] + i * window.dilation[0]
                    z = c * window.stride[1] - window.pad_before[1] + j * window.dilation[1]
                    if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                        covered.append(((i, j), x[:, y, z]))
            yield r, c, covered


_COMBINE: dict[type[s.Node], Any] = {
    s.AddNode: sum,
    s.SubtractNode: lambda inputs: inputs[0] - inputs[1],
    s.MultiplyNode: lambda inputs: np.prod(inputs, axis=0),
    s.MaximumNode: lambda inputs: np.max(inputs, axis=0),
    s.MinimumNode: lambda inputs: np.min(inputs, axis=0),
}
