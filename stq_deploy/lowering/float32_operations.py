"""Nodes in float32 with the operations that Keras 2 makes of them, where `float_graph` computes in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.frontend.tensorflow_arithmetic import rsqrt

Reals = npt.NDArray[np.floating[Any]]
_F = np.float32
_OF_AN_IMAGE = 3


def _batch_norm(node: s.BatchNormNode, inputs: list[Reals], weights: Reals) -> Reals:
    """Images go through TensorFlow's fused kernel, others through `tf.nn.batch_normalization`, with another order."""
    gamma, beta, mean, variance = (x.astype(_F) for x in (node.gamma, node.beta, node.mean, node.variance))
    factor = rsqrt(variance + _F(node.epsilon)) * gamma
    if len(node.shape) == _OF_AN_IMAGE:
        return (inputs[0] - mean) * factor + beta
    return inputs[0] * factor + (beta - mean * factor)


def _affine(node: s.AffineNode, inputs: list[Reals], weights: Reals) -> Reals:
    factor, offset = (np.array(part, np.float64).astype(_F) for part in (node.factor, node.offset))
    return np.asarray(inputs[0] * factor + offset)


def _leaky(node: s.LeakyNode, inputs: list[Reals], weights: Reals) -> Reals:
    return np.where(inputs[0] < 0, inputs[0] * _F(float(node.slope)), inputs[0])


def _softmax(node: s.SoftmaxNode, inputs: list[Reals], weights: Reals) -> Reals:
    powers = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


FLOAT32_OPERATIONS: dict[type[s.Node], Callable[[Any, list[Reals], Reals], Reals]] = {
    s.BatchNormNode: _batch_norm,
    s.AffineNode: _affine,
    s.LeakyNode: _leaky,
    s.SoftmaxNode: _softmax,
}
