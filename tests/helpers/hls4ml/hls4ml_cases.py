"""Networks that hls4ml simulates exactly, one entry each: `case` makes a function an entry of `CASES`.

hls4ml 1.3 can read the following, but computes them otherwise than QKeras, so no case has them:

- scales of alpha='auto' (not a power of two), and scales above 1 (its exponent has a bit too few);
- depthwise kernels with 'auto_po2' (stored in 2 bits without their scale);
- activations by symmetric quantized_bits (it saturates one level below);
- leaky quantized_relu (it does not clip at -slope * 2^integer);
- use_real_sigmoid and use_real_tanh (a table in fixed point);
- batch norm whose factors are not short binary fractions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Body = Callable[[Any, Any, Any], Any]
"""(qkeras, tf_keras.layers, quantized input) -> logits."""

CASES: dict[str, Body] = {}
SHAPE = (8, 8, 2)

ONE = "stochastic_ternary(alpha=1)"
PO2 = "stochastic_ternary(alpha='auto_po2')"
BITS_PO2 = "quantized_bits(4,0,1,alpha='auto_po2')"
RELU = "quantized_relu(4,2)"
LARGEST_WEIGHT = 0.9  # below 1, so that no scale exceeds 1


def case(body: Body) -> Body:
    """Decorator: an entry of `CASES` under the function's name."""
    CASES[body.__name__] = body
    return body


def build(name: str, seed: int) -> Any:
    """The case's tf_keras Model, random weights from `seed`; float input (N, *SHAPE) in [0, 1), output logits."""
    import qkeras
    import tf_keras
    from tf_keras import layers

    inputs = layers.Input(SHAPE)
    x = qkeras.QActivation("quantized_relu(8,0)")(inputs)
    model = tf_keras.Model(inputs, CASES[name](qkeras, layers, x))
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([_random(rng, weight) for weight in layer.weights])
    return model


def _random(rng: np.random.Generator, weight: Any) -> Any:
    """Batch norm gets statistics that make its factors short binary fractions; see `batch_norm`."""
    shape, role = tuple(weight.shape), weight.name.rsplit("/", 1)[-1].split(":")[0]
    if role == "moving_variance":
        return rng.choice([0.25, 1.0, 4.0], shape) - EPSILON
    if role in ("gamma", "beta", "moving_mean"):
        return rng.integers(-8, 9, shape) / 8 + (1.25 if role == "gamma" else 0)
    return rng.uniform(-LARGEST_WEIGHT, LARGEST_WEIGHT, shape)


EPSILON = 2.0**-10


def conv(q: Any, x: Any, filters: int, size: int, kernel: str, activation: str = RELU, **options: Any) -> Any:
    """A convolution without bias, unless `options` say otherwise, and its activation."""
    x = q.QConv2D(filters, size, kernel_quantizer=kernel, **{"use_bias": False, **options})(x)
    return q.QActivation(activation)(x)


def depthwise(q: Any, x: Any, activation: str = RELU, **options: Any) -> Any:
    x = q.QDepthwiseConv2D(3, depthwise_quantizer=ONE, use_bias=False, **options)(x)
    return q.QActivation(activation)(x)


def logits(q: Any, layers: Any, x: Any, kernel: str, **options: Any) -> Any:
    return q.QDense(6, kernel_quantizer=kernel, **{"use_bias": False, **options})(layers.Flatten()(x))


def many_layers(q: Any, layers: Any, x: Any, kernel: str, dense: str) -> Any:
    x = conv(q, x, 5, 3, kernel, padding="same")
    x = depthwise(q, x, padding="same")
    x = layers.MaxPooling2D(2)(x)
    branch = conv(q, x, 5, 1, kernel, activation="quantized_bits(4,2,0)")
    x = q.QActivation("quantized_relu(5,3)")(layers.Add()([x, branch]))
    x = conv(q, x, 7, 3, kernel, activation="quantized_sigmoid(8)", strides=2)
    x = q.QDense(8, kernel_quantizer=dense, use_bias=False)(layers.Flatten()(x))
    return logits(q, layers, q.QActivation(RELU)(x), kernel)


@case
def many_layers_alpha_1(q: Any, layers: Any, x: Any) -> Any:
    return many_layers(q, layers, x, ONE, ONE)


@case
def many_layers_auto_po2(q: Any, layers: Any, x: Any) -> Any:
    return many_layers(q, layers, x, PO2, BITS_PO2)


@case
def strides_and_padding(q: Any, layers: Any, x: Any) -> Any:
    x = conv(q, x, 5, (3, 2), ONE, strides=(1, 2), padding="same")
    x = conv(q, x, 4, (2, 3), PO2, strides=2, padding="same")
    return logits(q, layers, conv(q, x, 3, (2, 1), ONE), PO2)


@case
def depthwise_strides(q: Any, layers: Any, x: Any) -> Any:
    x = depthwise(q, x, strides=2, padding="same")
    return logits(q, layers, depthwise(q, x), ONE)


@case
def separable(q: Any, layers: Any, x: Any) -> Any:
    x = q.QSeparableConv2D(5, 3, depthwise_quantizer=ONE, pointwise_quantizer=ONE, use_bias=False)(x)
    return logits(q, layers, q.QActivation(RELU)(x), ONE)


@case
def dense_with_bias(q: Any, layers: Any, x: Any) -> Any:
    bias = {"use_bias": True, "bias_quantizer": "quantized_bits(6,1,1,alpha=1)"}
    x = q.QDense(9, kernel_quantizer=BITS_PO2, **bias)(layers.Flatten()(x))
    x = q.QActivation("quantized_bits(6,3,0)")(x)
    return logits(q, layers, x, "quantized_bits(8,0,1,alpha=1)", **bias)


@case
def convolution_with_bias(q: Any, layers: Any, x: Any) -> Any:
    bias = {"use_bias": True, "bias_quantizer": "quantized_bits(8,2,1,alpha=1)"}
    x = conv(q, x, 4, 3, "quantized_bits(4,0,1,alpha=1)", activation="quantized_bits(6,2,0)", **bias)
    return logits(q, layers, conv(q, x, 4, 3, BITS_PO2, **bias), ONE)


@case
def binary_kernels(q: Any, layers: Any, x: Any) -> Any:
    x = conv(q, x, 4, 3, "binary(alpha=1)", activation="quantized_relu(8,3)")
    x = conv(q, x, 4, 3, "stochastic_binary(alpha='auto_po2')", activation="quantized_relu(8,3)")
    return logits(q, layers, x, "binary(alpha='auto_po2')")


@case
def gate(q: Any, layers: Any, x: Any) -> Any:
    x = conv(q, x, 4, 3, PO2, padding="same")
    gate = depthwise(q, x, activation="quantized_sigmoid(4)", padding="same")
    return logits(q, layers, q.QActivation(RELU)(layers.Multiply()([x, gate])), PO2)


@case
def signed_activations(q: Any, layers: Any, x: Any) -> Any:
    x = conv(q, x, 4, 3, PO2, activation="quantized_tanh(4)")
    x = conv(q, x, 4, 3, PO2, activation="quantized_tanh(5,symmetric=True)")
    return logits(q, layers, x, PO2)


@case
def one_and_two_bit_activations(q: Any, layers: Any, x: Any) -> Any:
    x = conv(q, x, 4, 3, ONE, activation="ternary(alpha=1)")
    return logits(q, layers, conv(q, x, 4, 3, ONE, activation="binary(alpha=1)"), ONE)


@case
def max_pooling(q: Any, layers: Any, x: Any) -> Any:
    x = layers.MaxPooling2D((2, 1), strides=(1, 2))(conv(q, x, 4, 3, PO2, padding="same"))
    x = conv(q, x, 4, 2, ONE, activation="quantized_bits(4,2,0)")
    return logits(q, layers, layers.MaxPooling2D(2)(x), PO2)


@case
def batch_norm(q: Any, layers: Any, x: Any) -> Any:
    """With variance + epsilon a power of 4, factor and offset are short binary fractions, so every tie is one."""
    x = q.QConv2D(5, 3, kernel_quantizer=ONE, use_bias=False)(x)
    x = q.QActivation(RELU)(layers.BatchNormalization(epsilon=EPSILON)(x))
    return logits(q, layers, x, PO2)
