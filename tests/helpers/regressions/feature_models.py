"""Small models of the kinds that real files brought, built by Keras itself, with weights of a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Build = Callable[[Any], Any]
"""Input tensor -> output tensor."""


def build_model(shape: tuple[int, ...], build: Build, seed: int = 1) -> Any:
    """The tf_keras Model; the numbers of its batch normalizations are unlike for each channel."""
    import tf_keras

    tf_keras.utils.set_random_seed(seed)
    inputs = tf_keras.layers.Input(shape)
    model = tf_keras.Model(inputs, build(inputs))
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "variance" in weight.name:
            weight.assign(rng.uniform(0.5, 4, weight.shape))
        elif "moving_mean" in weight.name:
            weight.assign(rng.uniform(-1, 3, weight.shape))
        elif "gamma" in weight.name:
            weight.assign(rng.uniform(0.2, 2, weight.shape) * rng.choice([-1, 1], weight.shape))
        elif "beta" in weight.name:
            weight.assign(rng.uniform(-1, 1, weight.shape))
    return model


def dense(x: Any, units: int = 5) -> Any:
    """QDense of six-bit weights."""
    from qkeras import QDense, quantized_bits

    bits = quantized_bits(6, 0, alpha=1)
    return QDense(units, kernel_quantizer=bits, bias_quantizer=quantized_bits(6, 2, alpha=1))(x)


def activation(x: Any, quantizer: str = "quantized_relu(6,2)") -> Any:
    """QActivation."""
    from qkeras import QActivation

    return QActivation(quantizer)(x)


def bits(x: Any, count: int, integer: int) -> Any:
    """QActivation that rounds and clips."""
    return activation(x, f"quantized_bits({count},{integer},alpha=1)")


def layer(name: str, x: Any, *arguments: Any, **settings: Any) -> Any:
    """A Keras layer of this class."""
    from tf_keras import layers

    return getattr(layers, name)(*arguments, **settings)(x)


def classifier(x: Any) -> Any:
    """Two dense layers, quantized between."""
    return dense(activation(dense(x, 16)))
