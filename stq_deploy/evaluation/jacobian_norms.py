"""Norms of a model's Jacobians for each sample: of the logits by the input, and by each inner layer's input.

Each has two figures. By *gradients*: the exact Frobenius norm, one backward pass per class, straight through
quantizers. By *finite differences*: for a random sign vector s, E|J s|^2 = |J|_F^2 (Hutchinson 1990). So the change of
the logits under a small step along s, over the step, estimates the same norm. It sees the quantizers' steps as they
are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.research.attacks.classifier import logits_model
from stq_deploy.research.attacks.freeze import freeze, pass_gradient_through_input_quantizer
from stq_deploy.research.attacks.search import margins_of

KerasTensor = Any
"""A symbolic tensor; Keras comes without types."""

INPUT = "input"
"""The name of the first place, the input."""
STEP = 4 / 255
"""Step of the finite differences, as a part of the input's range [0, 1], or of a sample's largest value at an inner
place."""
INPUT_DRAWS, INNER_DRAWS = 4, 2
"""Sign vectors a sample."""
BATCH = 100

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class JacobianNorms:
    """Norms for N samples at P places.

    Attributes:
        places: P names: `INPUT`, then those of the layers with a kernel but the first, in the model's order.
        gradient: (P, N) Frobenius norm of the logits' Jacobian by the values at the place, from gradients.
        difference: (P, N) the same from finite differences.
        size: (P, N) root mean square of the values at the place.
        margin: (N,) true logit minus the largest other one; negative where the sample is misclassified.
        spread: (N,) standard deviation of the logits.
    """

    places: tuple[str, ...]
    gradient: Floats
    difference: Floats
    size: Floats
    margin: Floats
    spread: Floats


class JacobianMeter:
    """Measures a model of several classes whose input are pixels in [0, 1].

    Args:
        model: tf_keras Model. It is frozen in place and gets hooks: keep another copy for anything else.
    """

    def __init__(self, model: Any) -> None:
        self._model = logits_model(model)
        freeze(self._model)
        pass_gradient_through_input_quantizer(self._model)
        tensors = _kernel_inputs(self._model)
        self.places = (INPUT, *tensors)
        self._moves: list[Any] = []
        for number, tensor in enumerate(tensors.values()):
            self._hook(tensor._keras_history.layer, number)
        self._shapes = [tuple(self._model.input_shape[1:]), *(tuple(t.shape[1:]) for t in tensors.values())]
        self._forward, self._values, self._gradients = self._trace(list(tensors.values()))

    def measure(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]) -> (
        JacobianNorms
    ):  # fmt: skip
        """Norms of samples (N, *shape) of classes y (N,).

        Args:
            numbers: (N,) whole numbers from 0; each decides its sample's random signs.
        """
        parts = [self._measure(x[i : i + BATCH], y[i : i + BATCH], numbers[i : i + BATCH])
                 for i in range(0, len(x), BATCH)]  # fmt: skip
        columns = [np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)]
        return JacobianNorms(self.places, *columns)

    def _measure(
        self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
    ) -> tuple[Floats, ...]:
        still = [np.zeros((len(x), *shape), np.float32) for shape in self._shapes]
        values = [x, *(np.asarray(value) for value in self._values(x))]
        logits = np.asarray(self._forward(x, still), np.float64)
        squares = sum(np.asarray(self._gradients(x, still, c), np.float64) for c in range(logits.shape[1]))
        differences = np.stack([
            self._difference(x, still, logits, place, value, numbers) for place, value in enumerate(values)
        ])  # fmt: skip
        sizes = np.stack([np.sqrt(np.square(_flat(value)).mean(axis=1)) for value in values])
        margins = margins_of(logits.astype(np.float32), y).astype(np.float64)
        return np.sqrt(squares), differences, sizes, margins, logits.std(axis=1)

    def _difference(
        self,
        x: npt.NDArray[np.float32],
        still: list[npt.NDArray[np.float32]],
        logits: Floats,
        place: int,
        value: npt.NDArray[np.float32],
        numbers: npt.NDArray[np.int64],
    ) -> Floats:
        """The estimate (N,): root of the mean square over the draws."""
        largest = np.ones(len(x)) if place == 0 else np.maximum(np.abs(_flat(value)).max(axis=1), 1e-6)
        step = (STEP * largest).reshape(-1, *[1] * (value.ndim - 1))
        squares = np.zeros(len(x))
        draws = INPUT_DRAWS if place == 0 else INNER_DRAWS
        for draw in range(draws):
            signs = np.stack([
                np.random.default_rng([int(number), place, draw]).integers(0, 2, value.shape[1:]) * 2 - 1
                for number in numbers
            ])  # fmt: skip
            move = signs * step
            if place == 0:  # an input quantizer clips what leaves [0, 1]: go the other way there
                move = np.where((value + move < 0) | (value + move > 1), -move, move)
            moves = [*still[:place], move.astype(np.float32), *still[place + 1 :]]
            change = np.asarray(self._forward(x, moves), np.float64) - logits
            squares += np.square(change / step.reshape(-1, 1)).sum(axis=1)
        return np.asarray(np.sqrt(squares / draws))

    def _hook(self, layer: Any, number: int) -> None:
        """Make the layer add the move of inner place `number` to its output."""
        import tensorflow as tf

        call = layer.call

        def moved(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            return output + self._moves[number + 1] if self._moves else output

        layer.call = tf.autograph.experimental.do_not_convert(moved)

    def _trace(self, tensors: list[Any]) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
        """(logits, inner values, squared norms by class), traced once for every batch size."""
        import tensorflow as tf
        import tf_keras

        view = tf_keras.Model(self._model.input, tensors) if tensors else None

        def logits(x: Any, moves: list[Any]) -> Any:
            self._moves = moves
            try:
                return self._model(x + moves[0], training=False)
            finally:
                self._moves = []

        def values(x: Any) -> Any:
            found = view(x, training=False) if view is not None else []
            return found if isinstance(found, list) else [found]

        def squares(x: Any, moves: list[Any], c: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(moves)
                row = tf.gather(logits(x, moves), c, axis=1)
            gradients = tape.gradient(row, moves, unconnected_gradients="zero")
            return tf.stack([tf.reduce_sum(tf.square(tf.reshape(g, (tf.shape(g)[0], -1))), 1) for g in gradients])

        x = tf.TensorSpec((None, *self._shapes[0]), tf.float32)
        moves = [tf.TensorSpec((None, *shape), tf.float32) for shape in self._shapes]
        c = tf.TensorSpec((), tf.int32)
        return (
            tf.function(logits, input_signature=[x, moves]),
            tf.function(values, input_signature=[x]),
            tf.function(squares, input_signature=[x, moves, c]),
        )


def _kernel_inputs(model: Any) -> dict[str, KerasTensor]:
    """The inputs of the layers with a kernel, by the layer's name, without the first; each tensor once."""
    found: dict[int, tuple[str, Any]] = {}
    for layer in model.layers:
        if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
            found.setdefault(id(layer.input), (layer.name, layer.input))
    return dict(list(found.values())[1:])


def _flat(values: npt.NDArray[np.float32]) -> Floats:
    return values.reshape(len(values), -1).astype(np.float64)
