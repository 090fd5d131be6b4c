"""The fast quantized ReLU against qkeras' own."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def test_values_and_gradients_equal_qkeras() -> None:
    import qkeras.quantizers as qk
    import tensorflow as tf

    from stq_deploy.quantizers.fast import _FastRelu

    # every multiple of 1/64 hits the ties and both ends; the random values everything else
    x = np.concatenate([np.arange(-128, 1024) / 64, np.random.default_rng(0).normal(2, 3, 5000)]).astype(np.float32)
    for bits, integer in ((4, 2), (8, 3), (8, 0), (2, 1)):
        results = []
        for quantizer in (qk.quantized_relu(bits, integer), _FastRelu(bits=bits, integer=integer)):
            with tf.GradientTape() as tape:
                variable = tf.constant(x)
                tape.watch(variable)
                y = quantizer(variable)
            results.append((y.numpy(), tape.gradient(y, variable).numpy()))
        np.testing.assert_allclose(results[0][0], results[1][0], rtol=0, atol=5e-7)
        np.testing.assert_array_equal(results[0][1], results[1][1])


def test_swapping_keeps_the_saved_text_and_skips_what_differs() -> None:
    import qkeras
    import tf_keras

    from stq_deploy.quantizers.fast import _FastRelu, use_fast_activations

    model = tf_keras.Sequential(
        [
            tf_keras.layers.Input((3,)),
            qkeras.QActivation("quantized_relu(4,2)"),
            qkeras.QActivation("quantized_relu(4,2,0,0.25)"),
            qkeras.QActivation("quantized_sigmoid(4)"),
        ]
    )
    before = model.get_config()
    assert use_fast_activations(model) == 1
    assert isinstance(model.layers[0].quantizer, _FastRelu)
    assert model.get_config() == before
