"""`quantized_linear` of TensorFlow's tensors, for Keras models: qkeras 0.9.0 lacks it.

It is that of QKeras's repository at commit 4eedf1e. `quantizer_arithmetic` computes the same in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stq_deploy.frontend.quantizers import Quantizer


def linear_levels(x: Any, quantizer: Quantizer) -> tuple[Any, Any, tuple[float, float]]:
    """quantized_linear of a float32 tensor: levels, their step, and the lowest and highest level."""
    negative, alpha = quantizer.flag("keep_negative"), quantizer.parameters["alpha"]
    bits = quantizer.integer("bits")
    if bits == 1 and negative:
        low, high, shift = -0.5, 0.5, 0.5
    else:
        high = 2.0 ** (bits - negative) - 1
        low, shift = negative * (quantizer.flag("symmetric") - high - 1), 0.0
    if isinstance(alpha, str):
        step = _fitted_step(x, quantizer, low, high, shift)
    else:
        step = np.float32(1.0 if alpha is None else alpha) * np.float32(
            2.0 ** (quantizer.integer("integer") - bits + negative)
        )
    return _linear_levels(x, step, low, high, shift), step, (low, high)


def _linear_levels(x: Any, step: Any, low: float, high: float, shift: float) -> Any:
    """Levels of x: whole numbers in [low, high], or `shift` = 1/2 above them."""
    import tensorflow as tf

    return tf.round(tf.clip_by_value(x / step, low, high) - shift) + shift


def _fitted_step(x: Any, quantizer: Quantizer, low: float, high: float, shift: float) -> Any:
    """The step that alpha='auto' (the largest magnitude) or 'auto_po2' (least squares) fits to the numbers."""
    import tensorflow as tf

    kept = quantizer.parameters["scale_axis"]
    kept = len(x.shape) - 1 if kept is None else kept
    axes = [axis for axis in range(len(x.shape)) if axis != kept]
    if quantizer.flag("keep_negative"):
        step = tf.reduce_max(tf.abs(x), axis=axes, keepdims=True) * 2 / (high - low)
    else:
        step = tf.reduce_max(x, axis=axes, keepdims=True) / (high - low)
    step = tf.maximum(step, _EPSILON)
    if quantizer.parameters["alpha"] == "auto":
        return step
    step = _nearest_power(step)
    for _ in range(1 if shift else 5):
        levels = _linear_levels(x, step, low, high, shift)
        products = tf.reduce_mean(x * levels, axis=axes, keepdims=True)
        squares = tf.reduce_mean(levels * levels, axis=axes, keepdims=True)
        step = _nearest_power(products / (squares + _EPSILON))
    return step


_EPSILON = 1e-7  # Keras's


def _nearest_power(step: Any) -> Any:
    import tensorflow as tf

    return tf.pow(2.0, tf.round(tf.math.log(step + _EPSILON) / np.log(2.0)))
