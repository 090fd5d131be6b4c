"""Accuracy under attack while a network trains: an upper bound, for comparing epochs.

The attack is ten steps of PGD on the margin, which decides the class. A sample counts as broken from its first wrong
answer on. A finished network is judged by a larger set of attacks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stq_deploy.research.training.adversary import random_start, sign_of_gradient, within
from stq_deploy.research.training.inputs import to_input
from stq_deploy.zoo.networks import logits_view

STEPS = 10
_STEP = 0.25
"""Step relative to eps."""
_BATCH = 250


class RobustEvaluator:
    """Attacks a model as it is deployed: settled kernels and the statistics of inference.

    Keep one per model: it holds the compiled function.
    """

    def __init__(self, model: Any) -> None:
        view = logits_view(model)

        def still_right(x: Any, labels: Any, eps: Any) -> Any:
            inputs = to_input(x)
            right = tf.ones(tf.shape(labels), tf.bool)
            attacked = tf.clip_by_value(inputs + random_start(tf.shape(inputs), eps), 0.0, 1.0)
            for _ in tf.range(STEPS):
                right, attacked = advance(inputs, labels, eps, right, attacked)
            margins = _margins(view(attacked, training=False), labels)
            return right & (_margins(view(inputs, training=False), labels) > 0) & (margins > 0)

        def advance(inputs: Any, labels: Any, eps: Any, right: Any, attacked: Any) -> tuple[Any, Any]:
            margins = []

            def raised(x: Any) -> Any:
                margins.append(_margins(view(x, training=False), labels))
                return -tf.reduce_sum(margins[0])

            moved = attacked + _STEP * eps * sign_of_gradient(raised, attacked)
            return right & (margins[0] > 0), tf.clip_by_value(within(moved, inputs, eps), 0.0, 1.0)

        self._still_right = tf.function(still_right, reduce_retracing=True)

    def accuracy(self, x: NDArray[Any], y: NDArray[np.int64], eps: float) -> float:
        """Share of samples `x` (N, H, W, C) that stay right, 0..1 (nan without samples); `eps` in gray levels / 255."""
        if not len(x):
            return float("nan")
        budget = tf.constant(eps, tf.float32)
        parts = [
            self._still_right(x[start : start + _BATCH], y[start : start + _BATCH], budget).numpy()
            for start in range(0, len(x), _BATCH)
        ]
        return float(np.mean(np.concatenate(parts)))


def _margins(logits: Any, labels: Any) -> Any:
    """(B,): the label's logit minus the largest other one."""
    own = tf.one_hot(labels, logits.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    true = tf.reduce_sum(tf.where(own, logits, 0.0), -1)
    return true - tf.reduce_max(tf.where(own, logits.dtype.min, logits), -1)
