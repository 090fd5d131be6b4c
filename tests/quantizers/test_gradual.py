"""Gradual quantization (Dong et al. 2017): so many rows, the likelier the better they quantize, in training only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.keras

KERNELS = [
    "stochastic_ternary(alpha='auto_po2')",
    "stochastic_binary(alpha='auto_po2')",
    "ternary(alpha='auto_po2')",
    "binary(alpha='auto_po2')",
    "quantized_bits(4,0,1,alpha='auto_po2')",
    "quantized_bits(2,0,1,alpha='auto_po2')",
]


def _model(kernel: str) -> Any:
    import tf_keras
    from tf_keras import layers

    from stq_deploy.zoo.layers import SchemeLayers
    from stq_deploy.zoo.schemes import Scheme

    tf_keras.utils.set_random_seed(1)
    make = SchemeLayers(Scheme("test", "Test", conv=kernel, depthwise=kernel, dense=kernel))
    inputs = layers.Input((6, 6, 4))
    x = make.conv(inputs, "conv", 8, 3)
    x = make.depthwise(x, "depthwise")
    x = make.separable(x, "separable", 16)
    x = make.dense(layers.Flatten()(x), "dense", 8)
    return tf_keras.Model(inputs, x)


@pytest.mark.parametrize("kernel", KERNELS)
def test_training_draws_anew_each_step_and_inference_never(kernel: str) -> None:
    import tf_keras

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.gradual import GradualQuantization

    rng = np.random.default_rng(0)
    x, y = rng.random((16, 6, 6, 4), dtype=np.float32), rng.integers(0, 8, 16)
    model = _model(kernel)
    model.set_weights([np.clip(weight, -1, 1) for weight in model.get_weights()])  # as qkeras' constraint will
    quantized = model.predict(x, verbose=0)
    gradual = GradualQuantization(model)
    noise.set_state(noise.NoiseState(seed=1, share=0.5))
    model.compile(tf_keras.optimizers.SGD(0.0), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = model.fit(x, y, batch_size=16, epochs=4, shuffle=False, verbose=0).history["loss"]
    assert len(set(losses)) == 4
    for _ in range(2):
        np.testing.assert_array_equal(model.predict(x, verbose=0), quantized)
    with noise.deterministic():  # as batch norm is estimated
        np.testing.assert_allclose(model(x, training=True), quantized, rtol=1e-5, atol=1e-5)
    noise.set_share(1.0)
    np.testing.assert_allclose(model(x, training=True), quantized, rtol=1e-5, atol=1e-5)
    gradual.remove()
    assert "Gradual" not in model.to_json()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 0.875, 1.0])
def test_each_kernel_has_the_share_of_its_rows_quantized(share: float) -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.gradual import GradualQuantization

    model = _model("ternary(alpha='auto_po2')")
    gradual = GradualQuantization(model)
    noise.set_state(noise.NoiseState(seed=1, share=share))
    counted = total = 0
    for layer, name, axis in (
        ("conv", "kernel", 3),
        ("depthwise", "depthwise", 2),
        ("separable", "pointwise", 3),
        ("separable", "depthwise", 2),
        ("dense", "kernel", 1),
    ):
        kernel = getattr(model.get_layer(layer), "kernel" if name == "kernel" else f"{name}_kernel")
        quantizer = getattr(model.get_layer(layer), f"{name}_quantizer_internal")
        values, settled = quantizer._hybrid(kernel).numpy(), quantizer.quantizer(tf.constant(kernel)).numpy()
        rows = np.moveaxis(values != kernel.numpy(), axis, 0).reshape(values.shape[axis], -1).any(1)
        assert rows.sum() == share * len(rows)
        chosen = np.moveaxis(values == settled, axis, 0).reshape(values.shape[axis], -1).all(1)
        assert (chosen == rows).all()
        counted += rows.sum() * values.size // len(rows)
        total += values.size
    assert gradual.quantized_share() == counted / total == share


def test_rows_are_drawn_by_roulette_on_one_over_their_error() -> None:
    """Two of three rows: the first by p, the second by p among the two left; errors 0.1, 0.2 and 0.4."""
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.gradual import GradualQuantizer

    x = tf.constant([[0.9, 0.8, 0.6], [1.1, 1.2, 1.4]])
    quantizer = GradualQuantizer(tf.ones_like, -1)
    noise.set_state(noise.NoiseState(seed=2, share=2 / 3))
    draws = np.array([quantizer._drawn(x, tf.ones_like(x)).numpy() for _ in range(2000)])
    assert (draws.sum(1) == 2).all()
    p = np.array([4, 2, 1]) / 7
    left_out = [p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    assert sum(left_out) == pytest.approx(1)
    np.testing.assert_allclose(1 - draws.mean(0), left_out, atol=0.04)


def test_the_gradient_reaches_both_parts() -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.gradual import GradualQuantizer
    from stq_deploy.research.quantizers.stochastic import stochastic_ternary

    noise.set_state(noise.NoiseState(seed=2, share=0.5))
    x = tf.Variable(np.random.default_rng(0).normal(0, 0.1, (5, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(GradualQuantizer(stochastic_ternary(alpha="auto_po2"), -1)._hybrid(x) * 3.0)
    np.testing.assert_array_equal(tape.gradient(loss, x), np.full((5, 4), 3.0, np.float32))
