"""`stochastic_ternary` and `stochastic_binary` that really draw while training.

qkeras 0.9.0 asks `K.learning_phase()`, which stays 0 under `fit()`: its stochastic quantizers train exactly
like their deterministic namesakes. Here the *call context's* training flag decides: a training call draws,
`predict` and `evaluate` do not. Class names, constructor and serialized configuration stay those of qkeras. So qkeras
itself loads what we save, and tools that match on class names (qstats, hls4ml) see what they expect.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import qkeras.quantizers as qk
import tensorflow as tf
from tf_keras.src.engine import base_layer_utils

from stq_deploy.research.quantizers import noise

_EPSILON = 1e-7  # qkeras uses K.epsilon(), which is this unless someone changes it


def drawing() -> Any:
    """The training flag of the Keras call we are in: a bool, or a bool tensor in an old-style graph."""
    if not noise.enabled():
        return False
    training = base_layer_utils.call_context().training
    if training is None:
        return False
    return tf.cast(training, tf.bool) if tf.is_tensor(training) else bool(training)


def choose(condition: Any, draw: Any, settle: Any) -> Any:
    """`draw()` or `settle()`, decided now for a bool, at run time for a tensor."""
    if tf.is_tensor(condition):
        return tf.cond(condition, draw, settle)
    return draw() if condition else settle()


def _channel_axes(x: Any) -> list[int]:
    """All axes but the last (one scale per output channel; for a depthwise kernel that is one per tensor)."""
    return list(range(len(x.shape) - 1)) if len(x.shape) > 1 else [0]


def _round_to_power_of_two(scale: Any) -> Any:
    return tf.pow(2.0, tf.round(tf.math.log(scale + _EPSILON) / np.log(2.0).astype("float32")))


class stochastic_ternary(qk.stochastic_ternary):  # type: ignore[misc]  # qkeras has no types
    """Kernel quantizer to {-s, 0, +s}: random while training, qkeras' `ternary` of the same alpha otherwise.

    Let s be the scale, T = s/2 the threshold and z = x/std(x), all per output channel, and t the temperature. Two
    independent signs are drawn with P(+) = sigmoid(t (z - T/std)) and sigmoid(t (z + T/std)). Their mean is the result
    (qkeras.quantizers.stochastic_ternary). Only the three outcomes' probabilities matter, so one uniform
    number per weight decides: P(+1) = p0 p1, P(-1) = (1-p0)(1-p1). The gradient is straight-through (1).

    x: float32, any shape with the output channel last. alpha: 'auto' or 'auto_po2' (drawing needs one of
    them).
    """

    def __call__(self, x: Any) -> Any:
        return choose(drawing(), lambda: self._draw(x), lambda: qk.ternary.__call__(self, x))

    def _draw(self, x: Any) -> Any:
        if self.alpha not in ("auto", "auto_po2"):
            raise ValueError(f"stochastic_ternary draws only with alpha 'auto' or 'auto_po2', not {self.alpha!r}")
        latent = tf.stop_gradient(x)
        axes = _channel_axes(latent)
        scale = self._fit_scale(latent, axes)
        spread = tf.math.reduce_std(latent, axis=axes, keepdims=True) + _EPSILON
        temperature = self.temperature * noise.temperature_factor() / spread
        sigmoid = tf.sigmoid if self.use_real_sigmoid else qk._sigmoid
        p0 = sigmoid(temperature * (latent - scale / 2.0))
        p1 = sigmoid(temperature * (latent + scale / 2.0))
        u = noise.uniform(tf.shape(latent))
        plus = tf.cast(u < p0 * p1, tf.float32)
        minus = tf.cast(1.0 - u <= (1.0 - p0) * (1.0 - p1), tf.float32)
        self.scale = scale
        return x + tf.stop_gradient(scale * (plus - minus) - x)

    def _fit_scale(self, x: Any, axes: list[int]) -> Any:
        """The least-squares scale of the settled ternary weights, as qkeras iterates it."""
        magnitude = tf.abs(x)
        scale = 2.0 * tf.reduce_max(magnitude, axis=axes, keepdims=True) / 3.0
        if self.alpha == "auto_po2":
            scale = _round_to_power_of_two(scale)
        for _ in range(self.number_of_unrolls):
            kept = tf.cast(magnitude >= scale / 2.0, tf.float32)
            # With q in {-1, 0, 1}: mean(x q) / mean(q q) is the mean magnitude of the kept weights.
            scale = tf.reduce_mean(magnitude * kept, axis=axes, keepdims=True) / (
                tf.reduce_mean(kept, axis=axes, keepdims=True) + _EPSILON
            )
            if self.alpha == "auto_po2":
                scale = _round_to_power_of_two(scale)
        return scale


class stochastic_binary(qk.stochastic_binary):  # type: ignore[misc]  # qkeras has no types
    """Kernel quantizer to {-s, +s}: P(+) = sigmoid(t x / std(x)) in training, qkeras' `binary` otherwise."""

    def __call__(self, x: Any) -> Any:
        return choose(drawing(), lambda: self._draw(x), lambda: qk.binary.__call__(self, x))

    def _draw(self, x: Any) -> Any:
        latent = tf.stop_gradient(x)
        spread: Any = 1.0
        if isinstance(self.alpha, str):
            spread = tf.math.reduce_std(latent, axis=_channel_axes(latent), keepdims=True) + _EPSILON
        sigmoid = tf.sigmoid if self.use_real_sigmoid else qk._sigmoid
        p = sigmoid(self.temperature * noise.temperature_factor() * latent / spread)
        q = tf.where(noise.uniform(tf.shape(latent)) < p, 1.0, -1.0)
        scale = qk._get_scale(self.alpha, latent, tf.where(latent >= 0.0, 1.0, -1.0))
        self.scale = scale
        return x + tf.stop_gradient(scale * q - x)


# Saved models name the module of each class. Naming qkeras' own keeps our files loadable without stq_deploy.
for _class in (stochastic_ternary, stochastic_binary):
    _class.__module__ = "qkeras.quantizers"
