"""One optimisation step, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras

from stq_deploy.errors import StqError
from stq_deploy.training.inputs import to_input
from stq_deploy.zoo.networks import logits_view

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def make_optimizer(name: str, model: Any) -> Any:
    """A built optimizer for `model`'s trainable weights; the step sets its learning rate."""
    kinds = {
        "adamax": tf_keras.optimizers.Adamax,
        "adam": tf_keras.optimizers.Adam,
        "sgd": lambda rate: tf_keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }
    if name not in kinds:
        raise StqError(f"unknown optimizer {name!r}", next=f"choose one of: {', '.join(kinds)}")
    optimizer = kinds[name](1e-3)
    optimizer.build(model.trainable_variables)
    return optimizer


def make_step(model: Any, optimizer: Any) -> Step:
    """A function (x, y, learning rate) -> (mean cross-entropy, number right), which updates the weights.

    The loss is taken from the logits, before the softmax, for its numerical range.
    """
    view = logits_view(model)
    variables = model.trainable_variables

    def step(x: Any, y: Any, rate: Any) -> tuple[Any, Any]:
        optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            logits = view(to_input(x), training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, -1), y), tf.int32))
        return loss, right

    compiled: Step = tf.function(step, reduce_retracing=True)
    return compiled
