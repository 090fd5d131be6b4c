"""The random projections' norms against Jacobians that are computed whole."""

from __future__ import annotations

from pathlib import Path
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

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.training.jacobian import JacobianProbe

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

    from stq_deploy.research.training.jacobian import JacobianProbe

    _, by_input, by_layers = JacobianProbe(_model("fp"), layers=False)(tf.ones((2, 5, 5, 1)), training=False)
    assert float(by_input) > 0
    assert float(by_layers) == 0


@pytest.mark.parametrize("scheme", ["fp", "stq"])
def test_its_gradient_reaches_every_kernel_of_the_whole_network(scheme: str) -> None:
    """Through batch norm, pools, gates and quantizers; in floating point a small step along it must help."""
    import tensorflow as tf
    import tf_keras

    from stq_deploy.research.quantizers import noise
    from stq_deploy.research.quantizers.fast import use_fast_activations
    from stq_deploy.research.training.jacobian import JacobianProbe
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


NETWORK = """
from tf_keras import Model, layers
from stq_deploy.zoo.layers import SchemeLayers

def build(scheme, classes, input_shape):
    make = SchemeLayers(scheme)
    inputs = layers.Input(input_shape)
    x = make.relu(make.batch_norm(make.conv(inputs, "conv1", 8, 3, 2), "bn1"), "relu1")
    x = make.dense(layers.Flatten(name="flatten")(x), "fc", classes)
    return Model(inputs, layers.Activation("softmax", name="softmax")(x))
"""


def test_the_recipe_makes_jacobians_smaller(tmp_path: Path) -> None:
    """The shipped recipe on a few pictures, from one start, with and without its two entries.

    They weigh a hundred times as much here, as the run has a few dozen steps, and the network a few weights.
    """
    from stq_deploy.frontend.keras_model import read_keras_model
    from stq_deploy.research.training import TrainingConfig, train
    from stq_deploy.research.training.recipe import load_recipe

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 16)
    pictures = np.clip(rng.normal(20 * labels[:, None, None] + 40, 30, (160, 8, 8)), 0, 255).astype(np.uint8)
    data, own = tmp_path / "d.npz", tmp_path / "own.py"
    own.write_text(NETWORK)
    np.savez(data, x_train=pictures, y_train=labels, x_test=pictures[:20], y_test=labels[:20])
    few = {"batch_size": 32, "validation_samples": 0, "final_batch_norm_samples": 160, "warm_up_steps": 0}
    first = {"epochs": 4, "warm_start": None, "jacobian": 0.0, "jacobian_layers": 0.0}

    def run(name: str, changes: dict[str, Any]) -> Any:
        recipe = load_recipe("jacobian", {**few, **changes})
        config = TrainingConfig(tmp_path / name, recipe, network=f"{own}:build", scheme="fp", data=data, seed=3)
        train(config)
        return read_keras_model(str(config.out / "model.h5"))

    run("start", first)
    after: dict[str, Any] = {
        "epochs": 10,
        "learning_rate": 1e-2,
        "warm_start": str(tmp_path / "start" / "model.h5"),
        "average_decay": 0.0,
    }
    shipped = load_recipe("jacobian")
    assert shipped.jacobian and shipped.jacobian_layers
    more = {"jacobian": 100 * shipped.jacobian, "jacobian_layers": 100 * shipped.jacobian_layers}
    with_it, without = run("with", after | more), run("without", after | {"jacobian": 0.0, "jacobian_layers": 0.0})
    x = (pictures[::8, :, :, None] / np.float32(255)).astype(np.float32)
    print("J", [(_exact(m, x, None), _exact(m, x, "relu1"), m.evaluate) for m in (with_it, without)])
    assert _exact(with_it, x, None) < 0.8 * _exact(without, x, None)
    assert _exact(with_it, x, "relu1") < 0.8 * _exact(without, x, "relu1")
