"""One optimization step, compiled."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Protocol

import tensorflow as tf
import tf_keras

from stq_deploy.research.quantizers import noise
from stq_deploy.research.quantizers.bfloat16 import bfloat16_convolutions
from stq_deploy.research.training.adversary import Adversary
from stq_deploy.research.training.averaging import WeightAverage
from stq_deploy.research.training.inputs import add_noise, to_input
from stq_deploy.research.training.objective import Objective
from stq_deploy.research.training.recipe import Recipe
from stq_deploy.research.training.weight_perturbation import gradients_at_worse_weights


class TrainingStep(Protocol):
    """Updates the weights once."""

    def __call__(self, x: Any, labels: Any, taught: Any, rate: Any, eps: Any = None) -> tuple[Any, Any]:
        """(loss, number of correct predictions) for samples `x` of the data set. Labels and `taught` (the teacher's
        logits, or None) are (B, classes). `rate` and `eps` (the adversary's budget, gray levels / 255) are scalars.
        """


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
        # Biases and batch norm do not decay: they do not overfit.
        optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if len(v.shape) < 2])
    optimizer.build(model.trainable_variables)
    return optimizer


def make_step(
    model: Any,
    optimizer: Any,
    objective: Objective,
    average: WeightAverage,
    recipe: Recipe,
    adversary: Adversary | None = None,
) -> TrainingStep:
    """The compiled step. With an `adversary`, it counts the attacked samples."""
    variables = model.trainable_variables

    def step(x: Any, labels: Any, taught: Any, rate: Any, eps: Any = None) -> tuple[Any, Any]:
        optimizer.learning_rate.assign(rate)
        inputs, attacked = to_input(x), None
        if recipe.noise:
            inputs = add_noise(inputs, recipe.noise)

        def gradients() -> tuple[Any, Any]:
            settled = noise.deterministic() if recipe.stochastic == "none" else nullcontext()
            with tf.GradientTape() as tape, settled:
                loss, logits = objective(inputs, labels, taught, attacked, eps)
            return (loss, logits), tape.gradient(loss, variables)

        with bfloat16_convolutions(recipe.precision == "bfloat16"):
            if adversary is not None:
                attacked = adversary(inputs, labels, taught, eps)
            if recipe.awp:
                (loss, logits), slopes = gradients_at_worse_weights(gradients, variables, recipe.awp)
            else:
                (loss, logits), slopes = gradients()
        optimizer.apply_gradients(zip(slopes, variables, strict=True))
        average.update(optimizer.iterations)
        right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, -1), tf.argmax(labels, -1)), tf.int32))
        return loss, right

    compiled: TrainingStep = tf.function(step, reduce_retracing=True)
    return compiled
