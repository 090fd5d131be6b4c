"""A model's accuracy after an epoch as it would be deployed: settled kernels and re-estimated batch norms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from stq_deploy.research.training import batch_norm
from stq_deploy.research.training.adversary import Adversary
from stq_deploy.research.training.certified_accuracy import CertifiedEvaluator
from stq_deploy.research.training.data import Split
from stq_deploy.research.training.epoch_record import Validation
from stq_deploy.research.training.evaluate import Evaluator
from stq_deploy.research.training.inputs import GRAY_LEVELS, add_noise, to_input
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.research.training.robust_accuracy import RobustEvaluator
from stq_deploy.research.training.teacher import Teacher


class Validator:
    """Estimates a model's batch-norm statistics, and its accuracy on clean, noisy and attacked samples.

    With an adversary or noise, half of the samples for the statistics are attacked (by the whole budget) or noisy. The
    network must be right on both kinds.
    """

    def __init__(
        self, model: Any, data: Split, recipe: Recipe, adversary: Adversary | None, teacher: Teacher | None
    ) -> None:
        self._model = model
        self._data = data
        self._recipe = recipe
        self._teacher = teacher
        self._eps = recipe.adversary_eps / GRAY_LEVELS
        self._classes = model.output_shape[-1]
        self._adversary = None if adversary is None else tf.function(adversary, reduce_retracing=True)
        self._estimator = batch_norm.BatchNormEstimator(model)
        self._evaluator = Evaluator(model)
        self._robust_evaluator = RobustEvaluator(model)
        self._certified_evaluator = CertifiedEvaluator(model) if recipe.certified_share else None

    def estimate_batch_norm(self, samples: int) -> None:
        """Set the statistics from the first `samples` of the training samples."""
        harmed = self._adversary is not None or self._recipe.noise > 0
        self._estimator.estimate(self._data.x_train[:samples], self._harmed if harmed else None)

    def validate(self) -> Validation:
        """The accuracies that the recipe measures.

        The model's training statistics are restored afterwards.
        """
        data, recipe = self._data, self._recipe
        if not len(data.y_validation):
            return Validation()
        kept = batch_norm.get_statistics(self._model)
        try:
            self.estimate_batch_norm(recipe.batch_norm_samples)
            found = Validation(self.accuracy(data.x_validation, data.y_validation))
            if recipe.noise:
                noisy = add_noise(to_input(tf.constant(data.x_validation)), recipe.noise).numpy()
                found = replace(found, noisy_accuracy=self.accuracy(noisy, data.y_validation))
            if count := recipe.robust_validation_samples:
                x, y = data.x_validation[:count], data.y_validation[:count]
                found = replace(found, robust_accuracy=self._robust_evaluator.accuracy(x, y, self._eps))
                if self._certified_evaluator is not None:
                    certified = self._certified_evaluator.accuracy(x, y, self._eps)
                    found = replace(found, certified_accuracy=certified)
            return found
        finally:
            batch_norm.set_statistics(self._model, kept)

    def accuracy(self, x: NDArray[Any], y: NDArray[np.int64]) -> float:
        """Share of correct predictions, 0..1, for samples (N, H, W, C) with the present statistics."""
        return self._evaluator.accuracy(x, y)

    def _harmed(self, part: slice) -> Any:
        """Network input: the training samples at `part`, noisy or attacked or both."""
        x = self._data.x_train[part]
        inputs = to_input(tf.constant(x))
        if self._recipe.noise:
            inputs = add_noise(inputs, self._recipe.noise)
        if self._adversary is None:
            return inputs
        taught = None if self._teacher is None else self._teacher.once(x)
        labels = tf.one_hot(self._data.y_train[part], self._classes)
        return self._adversary(inputs, labels, taught, tf.constant(self._eps, tf.float32))
