"""Adversarial weight perturbation and noise, against what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def test_the_gradient_is_taken_up_the_loss_and_the_weights_stay() -> None:
    """The gradient of (|w - a|^2 + |b - c|^2) / 2, which is w - a: known at every place."""
    import tensorflow as tf

    from stq_deploy.research.training.weight_perturbation import gradients_at_worse_weights

    rng = np.random.default_rng(0)
    start = rng.normal(0, 1, (3, 4)).astype(np.float32)
    kernel, bias = tf.Variable(start), tf.Variable([1.0, 2.0])
    goal = rng.normal(0, 1, (3, 4)).astype(np.float32)

    def gradients() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = (tf.reduce_sum((kernel - goal) ** 2) + tf.reduce_sum((bias - 3.0) ** 2)) / 2
        return loss, tape.gradient(loss, [kernel, bias])

    before = float(gradients()[0])
    loss, (of_kernel, of_bias) = tf.function(lambda: gradients_at_worse_weights(gradients, [kernel, bias], 0.1))()
    rise = start - goal
    worse = start + 0.1 * np.linalg.norm(start) * rise / np.linalg.norm(rise)
    np.testing.assert_allclose(of_kernel, worse - goal, rtol=1e-5)
    np.testing.assert_allclose(of_bias, [-2.0, -1.0])
    assert float(loss) > before
    np.testing.assert_array_equal(kernel.numpy(), start)


def test_noise_has_its_size_in_gray_levels_and_stays_in_the_pixels_range() -> None:
    import tensorflow as tf

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.training.inputs import add_noise

    noise.set_state(noise.NoiseState(seed=4))
    grey = tf.fill((50, 20, 20, 1), 0.5)
    noisy = add_noise(grey, 12.75).numpy()
    assert np.std(noisy - 0.5) == pytest.approx(0.05, rel=0.02)
    assert np.mean(noisy - 0.5) == pytest.approx(0, abs=0.001)
    assert not np.array_equal(add_noise(grey, 12.75).numpy(), noisy)
    noise.set_state(noise.NoiseState(seed=4))
    np.testing.assert_array_equal(add_noise(grey, 12.75).numpy(), noisy)
    edges = add_noise(tf.constant([0.0, 1.0] * 500), 50.0).numpy()
    assert edges.min() == 0
    assert edges.max() == 1
