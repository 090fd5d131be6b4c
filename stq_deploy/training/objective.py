"""What a step makes smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from stq_deploy.training.recipe import Recipe
from stq_deploy.zoo.networks import logits_view

Objective = Callable[[Any, Any], tuple[Any, Any]]
"""(inputs (B, H, W, C) float32, labels (B, classes)) -> (scalar loss, logits (B, classes))."""


def make_objective(model: Any, teacher: Any | None, recipe: Recipe) -> Objective:
    """Cross-entropy of a training call of `model`; with a teacher, mixed with the divergence from it.

    (1 - a) H(y, p) + a T^2 KL(p_teacher(T) || p(T)), probabilities p(T) of the logits / T (Hinton et al. 2015); a and T
    are the recipe's distillation and its temperature. All is taken from the logits, for their numerical range.
    """
    view = logits_view(model)
    teach = None if teacher is None else logits_view(teacher)
    share, temperature = recipe.distillation, recipe.distillation_temperature

    def objective(inputs: Any, labels: Any) -> tuple[Any, Any]:
        logits = view(inputs, training=True)
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
        if teach is not None and share:
            wanted = tf.stop_gradient(teach(inputs, training=False)) / temperature
            loss = (1.0 - share) * loss + share * temperature**2 * _divergence(wanted, logits / temperature)
        return loss, logits

    return objective


def _divergence(teacher: Any, student: Any) -> Any:
    """Mean KL(softmax(teacher) || softmax(student)) over the batch."""
    difference = tf.nn.log_softmax(teacher) - tf.nn.log_softmax(student)
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(teacher) * difference, -1))
