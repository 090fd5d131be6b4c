"""Jacobian regularization by random projections (Hoffman, Roberts & Yaida 2019, arXiv:1908.02729).

Let z (C,) be the logits of an input x, and v a direction, uniform on the unit sphere of C dimensions. Then C
E|d(v.z)/dx|^2 is the squared Frobenius norm of the Jacobian dz/dx. That is one backward pass per direction instead of
C. The same passes give the Jacobians with respect to each inner layer's input, for the penalty by layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from stq_deploy.research.quantizers import noise
from stq_deploy.zoo.networks import logits_view


class JacobianProbe:
    """Calls a model and returns its Jacobians' norms with the logits.

    Args:
        layers: also return those for the inputs of each layer with a kernel, except the first.
        projections: directions per sample; more are less noisy and cost a backward pass each.
    """

    def __init__(self, model: Any, *, layers: bool, projections: int = 1) -> None:
        logits = logits_view(model).output
        inner = _kernel_inputs(model) if layers else []
        self._view = tf_keras.Model(model.input, [logits, *inner])
        self._projections = projections

    def __call__(self, inputs: Any, *, training: bool) -> tuple[Any, Any, Any]:
        """Logits (B, C) of `inputs`, and estimates of the squared norms of their Jacobians, means over the batch.

        Returns:
            (logits, by the input, summed over the inner layers): the latter two scalars; 0 without layers.
        """
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(inputs)
            logits, *inner = self._outputs(inputs, training)
            projected = [self._project(logits) for _ in range(self._projections)]
        points = [inputs, *inner]
        norms = [tf.constant(0.0) for _ in points]
        for projection in projected:
            for number, gradient in enumerate(tape.gradient(projection, points)):
                norms[number] += tf.reduce_sum(tf.square(gradient))
        scale = logits.shape[-1] / (self._projections * tf.cast(tf.shape(inputs)[0], tf.float32))
        return logits, scale * norms[0], scale * tf.add_n([tf.constant(0.0), *norms[1:]])

    def _outputs(self, inputs: Any, training: bool) -> Sequence[Any]:
        outputs = self._view(inputs, training=training)
        return outputs if isinstance(outputs, list) else [outputs]

    def _project(self, logits: Any) -> Any:
        """The sum over the batch of v.z; the samples' gradients mix only through batch statistics."""
        direction = tf.math.l2_normalize(noise.normal(tf.shape(logits)), -1)
        return tf.reduce_sum(direction * logits)


def _kernel_inputs(model: Any) -> list[Any]:
    """The inputs of the layers with a kernel, in order, without the first layer, each tensor once."""
    tensors: dict[int, Any] = {}
    for layer in model.layers:
        if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
            tensors[id(layer.input)] = layer.input
    return list(tensors.values())[1:]
