"""The same quantized ReLU and gate in few memory passes, for training.

qkeras' own forms are a dozen operations each over the largest arrays. These forms have the same values and gradients
(tested), with operations that do several things in one pass; `tools/bench_training.py` measures the gain. They are
swapped into a built model's layers and never saved, because QActivation saves its quantizer's *text*.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import qkeras
import qkeras.quantizers as qk
import tensorflow as tf

_MOST_BITS = 16
"""Most bits of TensorFlow's fake quantization, which supports 2 to 16."""


class _FastRelu(qk.quantized_relu):  # type: ignore[misc]  # qkeras has no types
    """round(clip(x, 0, top) * k) / k with k = 2^(bits - integer), top = 2^integer - 1/k; gradient 1 on (0,
    top].
    """

    def __call__(self, x: Any) -> Any:
        top = 2.0**self.integer - 2.0 ** (self.integer - self.bits)

        def quantize(x: Any) -> Any:
            return _quantized(x, top, self.bits), lambda upstream: _where_positive(within(upstream, x), x)

        def within(upstream: Any, x: Any) -> Any:
            """`upstream` where 0 <= x <= top, else 0. The top is a multiple of the step, so TensorFlow does not
            move it.
            """
            return tf.quantization.fake_quant_with_min_max_args_gradient(
                upstream, x, min=0.0, max=top, num_bits=self.bits
            )

        return tf.custom_gradient(quantize)(x)


class _FastSigmoid(qk.quantized_sigmoid):  # type: ignore[misc]  # qkeras has no types
    """min(round(p k) / k, 1 - 1/k) with p = sigmoid(x), k = 2^bits; gradient p (1 - p) where it rounds below 1."""

    def __call__(self, x: Any) -> Any:
        per_unit = 2.0**self.bits

        def quantize(x: Any) -> Any:
            p = tf.sigmoid(x)

            def gradient(upstream: Any) -> Any:
                # k is even, so the tie at 1 - 1/2k rounds to 1, which is clipped and has no gradient
                passed = _where_positive(upstream, np.float32(1.0 - 0.5 / per_unit) - p)
                return tf.raw_ops.SigmoidGrad(y=p, dy=passed)

            return _quantized(p, 1.0 - 1.0 / per_unit, self.bits), gradient

        return tf.custom_gradient(quantize)(x)


def _quantized(x: Any, top: float, bits: int) -> Any:
    """`x` clipped to [0, top] and rounded to a multiple of top / (2^bits - 1), halves to even as qkeras does.

    That step is a power of two here, so the products within are exact.
    """
    return tf.raw_ops.QuantizeAndDequantizeV2(
        input=x,
        input_min=0.0,
        input_max=top,
        signed_input=False,
        num_bits=bits,
        range_given=True,
        round_mode="HALF_TO_EVEN",
    )


def _where_positive(values: Any, x: Any) -> Any:
    """`values` where x > 0, else 0, in one pass; `tf.where` takes two slow ones."""
    return tf.raw_ops.ReluGrad(gradients=values, features=x)


def _fast_form(quantizer: Any) -> Any:
    """The equivalent fast quantizer, or None."""
    if _plain_relu(quantizer):
        return _FastRelu(bits=quantizer.bits, integer=quantizer.integer)
    if _plain_sigmoid(quantizer):
        return _FastSigmoid(bits=quantizer.bits, use_real_sigmoid=True)
    return None


def _plain_relu(quantizer: Any) -> bool:
    """A quantized_relu without slope, sigmoid, random rounding, noise factor or bound of its own."""
    return (
        type(quantizer) is qk.quantized_relu
        and 2 <= quantizer.bits <= _MOST_BITS
        and not quantizer.use_sigmoid
        and not quantizer.negative_slope
        and not quantizer.use_stochastic_rounding
        and quantizer.is_quantized_clip
        and quantizer.relu_upper_bound is None
        and quantizer.qnoise_factor == 1.0
        and quantizer.use_ste
        and not quantizer.use_variables
    )


def _plain_sigmoid(quantizer: Any) -> bool:
    """A real sigmoid from 0, rounded to the nearest."""
    return (
        type(quantizer) is qk.quantized_sigmoid
        and 1 <= quantizer.bits <= _MOST_BITS
        and quantizer.use_real_sigmoid
        and not quantizer.symmetric
        and not quantizer.use_stochastic_rounding
    )


def use_fast_activations(model: Any) -> int:
    """Swap the fast form into `model`'s QActivation layers where there is one; return how many."""
    count = 0
    for layer in model.layers:
        if isinstance(layer, qkeras.QActivation) and (fast := _fast_form(layer.quantizer)) is not None:
            layer.quantizer = fast
            count += 1
    return count
