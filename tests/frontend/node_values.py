"""What the nodes of a `SourceGraph` compute, in float64: each by its docstring, in a line or two of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import SourceGraph
from stq_deploy.frontend import source as s
from stq_deploy.passes.float_evaluation import quantized_level
from stq_deploy.passes.step_function import step_function

Reals = npt.NDArray[np.float64]


def node_values(source: SourceGraph, x: npt.NDArray[Any]) -> list[Reals]:
    """(N, *shape) of every node, for inputs (N, *input shape)."""
    values: list[Reals] = []
    for n, node in enumerate(source.nodes):
        inputs = [values[i] for i in node.inputs]
        found = x.astype(np.float64) if isinstance(node, s.InputNode) else _value(source, n, node, inputs)
        assert found.shape == (len(x), *node.shape), (node, found.shape)
        values.append(found)
    return values


def _value(source: SourceGraph, n: int, node: s.Node, inputs: list[Reals]) -> Reals:
    x = inputs[0]
    match node:
        case s.ConvolveNode():
            kernel = _kernel(source, n, node.shape[-1:])
            windows = node.window.slide(x, fill=0)
            groups = x.shape[-1] // kernel.shape[2]
            parts = zip(np.split(windows, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
            return np.concatenate([np.einsum("nhwijc,ijcf->nhwf", *part) for part in parts], axis=-1)
        case s.DepthwiseNode():
            kernel = _kernel(source, n, (x.shape[-1], node.shape[-1] // x.shape[-1]))
            return np.einsum("nhwijc,ijcm->nhwcm", node.window.slide(x, fill=0), kernel).reshape(-1, *node.shape)
        case s.DenseNode():
            return x @ _kernel(source, n, node.shape)
        case s.BiasNode():
            return x + source.biases[n]
        case s.BatchNormNode():
            return (x - node.mean) * node.gamma / np.sqrt(node.variance + np.float64(node.epsilon)) + node.beta
        case s.QuantizeNode():
            return quantized_level(node.quantizer, x) * float(step_function(node.quantizer).step)
        case s.AffineNode():
            return x * np.array(node.factor, float) + np.array(node.offset, float)
        case s.ClipNode():
            return np.clip(x, *(None if end is None else float(end) for end in (node.low, node.high)))
        case s.LeakyNode():
            return np.where(x < 0, x * float(node.slope), x)
        case s.FunctionNode():
            return np.tanh(x) if node.function == "tanh" else 1 / (1 + np.exp(-x))
        case s.SoftmaxNode():
            return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
        case s.MaxPoolNode():
            return node.window.slide(x, fill=-10_000).max(axis=(3, 4))
        case s.AveragePoolNode():
            covered = node.window.count(x.shape[1], x.shape[2])[:, :, None]
            return node.window.slide(x, fill=0).sum(axis=(3, 4)) / covered
        case s.ReshapeNode():
            return x.reshape(-1, *node.shape)
        case s.PadNode():
            return np.pad(x, ((0, 0), *zip(node.before, node.after, strict=True), (0, 0)))
        case s.CropNode():
            (top, left), (height, width) = node.before, node.shape[:2]
            return x[:, top : top + height, left : left + width]
        case s.UpsampleNode():
            return x.repeat(node.size[0], axis=1).repeat(node.size[1], axis=2)
        case s.ConcatenateNode():
            return np.concatenate(inputs, axis=node.axis + 1)
        case s.PassNode():
            return x
        case s.CombineNode():
            return _combined(node, np.stack(inputs))
    raise TypeError(type(node))


def _kernel(source: SourceGraph, n: int, outputs: tuple[int, ...]) -> Reals:
    kernel = source.kernels[n]
    return kernel.integers * kernel.scale.reshape(outputs)


def _combined(node: s.CombineNode, inputs: Reals) -> Reals:
    functions = {
        s.AddNode: np.add, s.SubtractNode: np.subtract, s.MultiplyNode: np.multiply, s.MaximumNode: np.maximum,
        s.MinimumNode: np.minimum,
    }  # fmt: skip
    if isinstance(node, s.AverageNode):
        return inputs.mean(axis=0)
    found: Reals = functions[type(node)].reduce(inputs)
    return found
