"""The network under attack: logits and gradients of batches, and the values that its samples can be stored in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.research.attacks.classifier import logits_model
from stq_deploy.research.attacks.freeze import freeze, pass_gradient_through_input_quantizer
from stq_deploy.research.attacks.grid import PIXELS, Grid, Samples
from stq_deploy.research.attacks.losses import LOSSES
from stq_deploy.research.attacks.oracle import Labels, Oracle

BATCH = 128
"""Samples per forward pass: more are not faster on a CPU."""


class Victim(Oracle):
    """A Keras model as attacks see it.

    The model is frozen in place (`freeze`): keep another copy to train.

    Args:
        model: tf_keras Model; its first output is that of the classes.
        grid: values that its samples are stored in.
        input_range: the values of the model's input for the sample values 0 and 1.
        limit: the logit above which a model of one unit says class 1.

    Attributes:
        classes: how many, K. A model of one output unit has two.
        shape: of a sample.
        grid: as given.
        forward_passes, backward_passes: samples that went through the model so far.
    """

    def __init__(
        self, model: Any, grid: Grid = PIXELS, input_range: tuple[float, float] = (0.0, 1.0), limit: float = 0.0
    ) -> None:
        self._model = logits_model(model)  # first: a frozen layer cannot be built again without its softmax
        freeze(self._model)
        pass_gradient_through_input_quantizer(self._model)
        units = int(self._model.output_shape[-1])
        self.classes = max(units, 2)
        self.shape = tuple(int(n) for n in self._model.input_shape[1:])
        self.grid = grid
        self.forward_passes = self.backward_passes = 0
        self._low, self._high = input_range
        self._limit = limit
        self._forward = self._trace_forward()
        self._gradients: dict[str, Callable[..., Any]] = {}

    def logits(self, x: Samples) -> npt.NDArray[np.float32]:
        """Logits (N, K) of samples (N, *shape)."""
        self.forward_passes += len(x)
        parts = [np.asarray(self._forward(x[i : i + BATCH])) for i in range(0, len(x), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)

    def gradient(
        self, x: Samples, y: Labels, loss: str, targets: Labels | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Logits (N, K), the loss (N,) and its gradient by the samples (N, *shape).

        Args:
            loss: key of `losses.LOSSES`.
            targets: (N,) classes to move to, where the loss has one.
        """
        if loss not in self._gradients:
            self._gradients[loss] = self._trace_gradient(loss)
        aims = y if targets is None else targets
        self.backward_passes += len(x)
        parts = [
            [np.asarray(a) for a in self._gradients[loss](x[part], y[part], aims[part])]
            for part in (slice(i, i + BATCH) for i in range(0, len(x), BATCH))
        ]
        logits, losses, gradients = (np.concatenate(column) for column in zip(*parts, strict=True))
        return logits, losses, gradients

    def _outputs(self, x: Any) -> Any:
        """Logits (N, K) as TensorFlow operations."""
        import tensorflow as tf

        z = self._model(self._low + x * (self._high - self._low), training=False)
        z = tf.reshape(z, (tf.shape(z)[0], -1))
        z = tf.ensure_shape(z, (None, self._model.output_shape[-1]))
        # A float32 difference has the sign of the real one, so class 1 begins exactly above the limit.
        return tf.concat([tf.zeros_like(z), z - self._limit], axis=1) if self._model.output_shape[-1] == 1 else z

    def _trace_forward(self) -> Callable[..., Any]:
        import tensorflow as tf

        signature = [tf.TensorSpec((None, *self.shape), tf.float32)]
        traced: Callable[..., Any] = tf.function(self._outputs, input_signature=signature)
        return traced

    def _trace_gradient(self, loss: str) -> Callable[..., Any]:
        import tensorflow as tf

        apply = LOSSES[loss]

        def gradient(x: Any, y: Any, targets: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                logits = self._outputs(x)
                losses = apply(logits, y, targets)
            return logits, losses, tape.gradient(losses, x)

        labels = tf.TensorSpec((None,), tf.int64)
        traced: Callable[..., Any] = tf.function(
            gradient, input_signature=[tf.TensorSpec((None, *self.shape), tf.float32), labels, labels]
        )
        return traced
