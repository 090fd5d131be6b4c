"""The random projections' norms against Jacobians that are computed whole."""

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

    tf_keras.utils.set_random_seed(3)
    make = SchemeLayers(get_scheme(scheme))
    inputs = layers.Input((5, 5, 1), name="input")
    x = make.relu(make.conv(inputs, "conv", 4, 3), "relu")
    x = make.relu(make.depthwise(x, "depthwise"), "relu_dw")
    x = make.dense(layers.Flatten(name="flatten")(x), "dense", 3)
    return tf_keras.Model(inputs, layers.Activation("softmax")(x))


def _exact(model: Any, x: np.ndarray, start: str | None) -> float:
    """Mean squared Frobenius norm of the logits' Jacobian by the input, or by the output of layer `start`."""
    import tensorflow as tf
    import tf_keras

    point = model.input if start is None else model.get_layer(start).output
    before, after = tf_keras.Model(model.input, point), tf_keras.Model(point, model.layers[-1].input)
    values = tf.convert_to_tensor(before(x))
    with tf.GradientTape() as tape:
        tape.watch(values)
        logits = after(values)
    jacobian = tape.batch_jacobian(logits, values).numpy()
    return float((jacobian.astype(np.float64) ** 2).sum() / len(x))


@pytest.mark.parametrize("scheme", ["fp", "ternary"])
def test_norms_are_those_of_the_whole_jacobians(scheme: str) -> None:
    import tensorflow as tf

    from stq_deploy.quantizers import noise
    from stq_deploy.training.jacobian import JacobianProbe

    noise.set_state(noise.NoiseState(seed=1))
    model = _model(scheme)
    x = tf.constant(np.random.default_rng(0).random((64, 5, 5, 1), dtype=np.float32))
    probe = JacobianProbe(model, layers=True, projections=2)
    estimate = tf.function(lambda x: probe(x, training=False))
    logits, *_ = estimate(x)
    np.testing.assert_allclose(tf.nn.softmax(logits), model(x), rtol=1e-5)
    by_input, by_layers = np.mean([[float(norm) for norm in estimate(x)[1:]] for _ in range(40)], axis=0)
    assert by_input == pytest.approx(_exact(model, x, None), rel=0.03)
    assert by_layers == pytest.approx(_exact(model, x, "relu") + _exact(model, x, "flatten"), rel=0.03)


def test_without_layers_only_the_input_counts() -> None:
    import tensorflow as tf

    from stq_deploy.training.jacobian import JacobianProbe

    _, by_input, by_layers = JacobianProbe(_model("fp"), layers=False)(tf.ones((2, 5, 5, 1)), training=False)
    assert float(by_input) > 0
    assert float(by_layers) == 0


@pytest.mark.parametrize("scheme", ["fp", "stq"])
def test_its_gradient_reaches_every_kernel_of_the_whole_network(scheme: str) -> None:
    """Through batch norm, pools, gates and quantizers; in floating point a small step along it must help."""
    import tensorflow as tf
    import tf_keras

    from stq_deploy.quantizers import noise
    from stq_deploy.quantizers.fast import use_fast_activations
    from stq_deploy.training.jacobian import JacobianProbe
    from stq_deploy.zoo.networks import build_network

    tf_keras.utils.set_random_seed(3)
    model = build_network(scheme=scheme, input_shape=(8, 8, 1))
    use_fast_activations(model)
    x = tf.constant(np.random.default_rng(0).random((16, 8, 8, 1), dtype=np.float32))
    probe = JacobianProbe(model, layers=True)
    variables = [
        v for v in model.trainable_variables if not v.name.startswith("bn_fc3/beta")
    ]  # adds to the logits only

    @tf.function
    def penalty() -> Any:
        with tf.GradientTape() as tape:
            _, by_input, by_layers = probe(x, training=True)
            value = by_input + 0.01 * by_layers
        return value, tape.gradient(value, variables)

    noise.set_state(noise.NoiseState(seed=1))
    before, gradients = penalty()
    size = np.sqrt(sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients))
    assert np.isfinite(size)
    for variable, gradient in zip(variables, gradients, strict=True):
        if "kernel" in variable.name:
            assert float(tf.reduce_max(tf.abs(gradient))) > 0, variable.name
        variable.assign_sub(gradient * (0.01 / size))
    noise.set_state(noise.NoiseState(seed=1))  # the same directions again
    if scheme == "fp":
        assert float(penalty()[0]) < float(before)
