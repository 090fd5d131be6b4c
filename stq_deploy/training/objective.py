"""What a step makes smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from stq_deploy.training.jacobian import JacobianProbe
from stq_deploy.training.recipe import Recipe
from stq_deploy.zoo.networks import logits_view

Objective = Callable[[Any, Any, Any], tuple[Any, Any]]
"""(inputs (B, H, W, C) float32, labels (B, classes), the teacher's logits (B, classes) or None) ->
(scalar loss, logits (B, classes))."""


def make_objective(model: Any, recipe: Recipe) -> Objective:
    """Cross-entropy of a training call of `model`, mixed with the divergence from a teacher, plus Jacobian norms.

    (1 - a) H(y, p) + a T^2 KL(p_teacher(T) || p(T)), probabilities p(T) of the logits / T (Hinton et al. 2015); a and T
    are the recipe's distillation and its temperature. All is taken from the logits, for their numerical range.
    Plus l/2 |dz/dx|^2 (`jacobian`), and the same l/2 of every inner layer's input (`jacobian_layers`).
    """
    call = _Call(model, recipe)
    share, temperature = recipe.distillation, recipe.distillation_temperature

    def objective(inputs: Any, labels: Any, taught: Any) -> tuple[Any, Any]:
        logits, penalty = call(inputs)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
        if taught is not None:
            divergence = _divergence(taught / temperature, logits / temperature)
            loss = (1.0 - share) * loss + share * temperature**2 * divergence
        return loss + penalty, logits

    return objective


class _Call:
    """A training call of a model: its logits and the penalty on their Jacobians."""

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self._recipe = recipe
        self._view = logits_view(model)
        self._probe: JacobianProbe | None = None
        if recipe.jacobian or recipe.jacobian_layers:
            layers = recipe.jacobian_layers > 0
            self._probe = JacobianProbe(model, layers=layers, projections=recipe.jacobian_projections)

    def __call__(self, inputs: Any) -> tuple[Any, Any]:
        if self._probe is None:
            return self._view(inputs, training=True), 0.0
        logits, by_input, by_layers = self._probe(inputs, training=True)
        return logits, (self._recipe.jacobian * by_input + self._recipe.jacobian_layers * by_layers) / 2.0


def _divergence(teacher: Any, student: Any) -> Any:
    """Mean KL(softmax(teacher) || softmax(student)) over the batch."""
    difference = tf.nn.log_softmax(teacher) - tf.nn.log_softmax(student)
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(teacher) * difference, -1))
