"""The same quantized ReLU in a third of the memory passes, for training.

On two cores qkeras' quantized_relu takes a quarter of a training step; this form gives the same values and
gradients (tested) and makes the step about 20 % faster. It is swapped into a built model's layers, never
saved: QActivation writes down its quantizer's *text*.
"""

from __future__ import annotations

from typing import Any

import qkeras
import qkeras.quantizers as qk
import tensorflow as tf


class _FastRelu(qk.quantized_relu):  # type: ignore[misc]  # qkeras has no types
    """round(clip(x, 0, top) * k) / k with k = 2^(bits - integer), top = 2^integer - 1/k; gradient 1 on (0,
    top].
    """

    def __call__(self, x: Any) -> Any:
        per_unit = 2.0 ** (self.bits - self.integer)
        top = 2.0**self.integer - 1.0 / per_unit

        def quantize(x: Any) -> Any:
            # Powers of two: both products are exact, and tf.round rounds halves to even as qkeras does.
            y = tf.round(tf.clip_by_value(x, 0.0, top) * per_unit) * (1.0 / per_unit)
            return y, lambda upstream: tf.where((x > 0.0) & (x <= top), upstream, 0.0)

        return tf.custom_gradient(quantize)(x)


def _replaceable(quantizer: Any) -> bool:
    """A plain quantized_relu: no slope, sigmoid, random rounding, noise factor or bound of its own."""
    return (
        type(quantizer) is qk.quantized_relu
        and not quantizer.use_sigmoid
        and not quantizer.negative_slope
        and not quantizer.use_stochastic_rounding
        and quantizer.is_quantized_clip
        and quantizer.relu_upper_bound is None
        and quantizer.qnoise_factor == 1.0
        and quantizer.use_ste
        and not quantizer.use_variables
    )


def use_fast_activations(model: Any) -> int:
    """Swap the fast form into `model`'s QActivation layers where it is equivalent; return how many."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, qkeras.QActivation) and _replaceable(layer.quantizer):
            layer.quantizer = _FastRelu(bits=layer.quantizer.bits, integer=layer.quantizer.integer)
            count += 1
    return count
