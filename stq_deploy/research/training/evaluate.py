"""Accuracy of a model on labelled samples, deterministically."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stq_deploy.research.training.inputs import to_input

_BATCH = 500


class Evaluator:
    """Class predictions with inference weights and statistics.

    Keep one per model: it holds the compiled function.
    """

    def __init__(self, model: Any) -> None:
        def classify(x: Any) -> Any:
            return tf.argmax(model(to_input(x), training=False), axis=-1)

        self._classify = tf.function(classify, reduce_retracing=True)

    def predict(self, x: NDArray[Any]) -> NDArray[np.int64]:
        """The predicted class of each sample, (N,) int64."""
        parts = [self._classify(x[start : start + _BATCH]).numpy() for start in range(0, len(x), _BATCH)]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def accuracy(self, x: NDArray[Any], y: NDArray[np.int64]) -> float:
        """Share of correct predictions, 0..1 (nan without samples)."""
        return float(np.mean(self.predict(x) == y)) if len(x) else float("nan")
