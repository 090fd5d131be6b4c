"""Accuracy proved by interval bounds while a network trains: a lower bound, up to rounding in floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stq_deploy.research.training.inputs import to_input
from stq_deploy.research.training.interval_bounds import IntervalNetwork, worst_logits

_BATCH = 250


class CertifiedEvaluator:
    """Bounds a model as it is deployed: settled kernels and the statistics of inference.

    Keep one per model: it holds the compiled function. Raises StqError for a layer with unknown bounds.
    """

    def __init__(self, model: Any) -> None:
        intervals = IntervalNetwork(model)

        def proved(x: Any, labels: Any, eps: Any) -> Any:
            bounds = intervals(to_input(x), eps, training=False)
            worst = worst_logits(bounds, tf.one_hot(labels, bounds.clean.shape[-1]))
            return tf.equal(tf.argmax(worst, -1), labels)

        self._proved = tf.function(proved, reduce_retracing=True)

    def accuracy(self, x: NDArray[Any], y: NDArray[np.int64], eps: float) -> float:
        """Share of samples `x` (N, H, W, C) that stay right under any change within `eps` (gray levels / 255), 0..1
        (nan without samples).
        """
        if not len(x):
            return float("nan")
        budget = tf.constant(eps, tf.float32)
        parts = [
            self._proved(x[start : start + _BATCH], y[start : start + _BATCH], budget).numpy()
            for start in range(0, len(x), _BATCH)
        ]
        return float(np.mean(np.concatenate(parts)))
