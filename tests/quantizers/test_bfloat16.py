"""Convolutions in bfloat16: the same layers, near the same numbers, and only where asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def _model(scheme: str) -> Any:
    import tf_keras
    from tf_keras import layers

    from stq_deploy.zoo.layers import SchemeLayers
    from stq_deploy.zoo.schemes import get_scheme

    tf_keras.utils.set_random_seed(1)
    make = SchemeLayers(get_scheme(scheme))
    inputs = layers.Input((9, 8, 3))
    x = make.conv(inputs, "conv", 8, 3, strides=2, bias=True)
    x = make.depthwise(x, "depthwise")
    x = make.separable(x, "separable", 5)
    return tf_keras.Model(inputs, x)


@pytest.mark.parametrize("scheme", ["fp", "ternary"])
def test_bfloat16_is_near_float32_in_its_block_and_absent_outside(scheme: str) -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers.bfloat16 import allow_bfloat16, bfloat16_convolutions

    model = _model(scheme)
    model.get_layer("conv").set_weights([w + 0.1 for w in model.get_layer("conv").get_weights()])
    x = tf.constant(np.random.default_rng(0).random((4, 9, 8, 3), dtype=np.float32))
    config = model.to_json()
    exact = model(x, training=True).numpy()
    assert allow_bfloat16(model) == 2  # not the depthwise layer
    np.testing.assert_array_equal(model(x, training=True).numpy(), exact)
    with bfloat16_convolutions():
        half = model(x, training=True)
    assert half.dtype == tf.float32
    error = np.abs(half.numpy() - exact).max()
    assert 0 < error < 0.03 * np.abs(exact).max()
    assert model.to_json() == config


def test_gradients_reach_the_float32_kernels() -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers.bfloat16 import allow_bfloat16, bfloat16_convolutions

    model = _model("ternary")
    allow_bfloat16(model)
    x = tf.constant(np.random.default_rng(0).random((4, 9, 8, 3), dtype=np.float32))
    with tf.GradientTape(persistent=True) as tape:
        exact = tf.reduce_sum(model(x, training=True) ** 2)
        with bfloat16_convolutions():
            half = tf.reduce_sum(model(x, training=True) ** 2)
    for variable in model.trainable_variables:
        ours, theirs = tape.gradient(half, variable), tape.gradient(exact, variable)
        assert ours.dtype == tf.float32
        np.testing.assert_allclose(ours, theirs, atol=0.05 * np.abs(theirs).max())
