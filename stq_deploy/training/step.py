"""One optimisation step, compiled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import tensorflow as tf
import tf_keras

from stq_deploy.quantizers import noise
from stq_deploy.quantizers.bfloat16 import bfloat16_convolutions
from stq_deploy.training.averaging import WeightAverage
from stq_deploy.training.inputs import to_input
from stq_deploy.training.objective import Objective
from stq_deploy.training.recipe import Recipe

Step = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


def make_optimizer(model: Any, recipe: Recipe) -> Any:
    """The recipe's, built for `model`'s trainable weights; the step sets its learning rate."""
    options = {
        "weight_decay": recipe.weight_decay or None,
        "global_clipnorm": recipe.gradient_clip or None,
    }
    if recipe.optimizer == "sgd":
        optimizer = tf_keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True, **options)
    else:
        kinds = {"adamax": tf_keras.optimizers.Adamax, "adam": tf_keras.optimizers.Adam}
        optimizer = kinds[recipe.optimizer](1e-3, **options)
    if recipe.weight_decay:
        # Biases and batch norm keep their size: they do not fit to noise.
        optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) < 2])
    optimizer.build(model.trainable_variables)
    return optimizer


def make_step(model: Any, optimizer: Any, objective: Objective, average: WeightAverage, recipe: Recipe) -> Step:
    """A function that updates the weights: (x, labels, teacher's logits or None, rate) -> (loss, number right).

    Labels and logits are (B, classes).
    """
    variables = model.trainable_variables

    def step(x: Any, labels: Any, taught: Any, rate: Any) -> tuple[Any, Any]:
        optimizer.learning_rate.assign(rate)
        settled = noise.deterministic() if recipe.stochastic == "none" else nullcontext()
        with tf.GradientTape() as tape, bfloat16_convolutions(recipe.precision == "bfloat16"), settled:
            loss, logits = objective(to_input(x), labels, taught)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        average.update(optimizer.iterations)
        right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, -1), tf.argmax(labels, -1)), tf.int32))
        return loss, right

    compiled: Step = tf.function(step, reduce_retracing=True)
    return compiled
