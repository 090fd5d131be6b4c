"""An exponential moving average of the weights (Polyak & Juditsky 1992), steadier than the last step's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


class WeightAverage:
    """The average of a model's trainable (latent) weights. With decay 0 the weights themselves replace it.

    The decay starts small, min(decay, (1 + t) / (10 + t)) at step t, so that the first steps are forgotten.
    """

    def __init__(self, model: Any, decay: float) -> None:
        self._variables = model.trainable_variables
        self._decay = decay
        self.variables = [tf.Variable(variable, trainable=False) for variable in self._variables] if decay else []
        """The averages, part of a checkpoint."""

    def update(self, step: Any) -> None:
        """Add the present weights, after step number `step` (from 1); for use in a compiled function."""
        if not self.variables:
            return
        time = tf.cast(step, tf.float32)
        rest = 1.0 - tf.minimum(self._decay, (1.0 + time) / (10.0 + time))
        for average, variable in zip(self.variables, self._variables, strict=True):
            average.assign_add(rest * (variable - average))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within this block the model has the averaged weights."""
        kept = [variable.numpy() for variable in self._variables] if self.variables else []
        self.adopt()
        try:
            yield
        finally:
            for variable, value in zip(self._variables, kept, strict=bool(kept)):
                variable.assign(value)

    def adopt(self) -> None:
        """Give the model the averaged weights permanently."""
        for variable, average in zip(self._variables, self.variables, strict=bool(self.variables)):
            variable.assign(average)
