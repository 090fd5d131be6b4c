"""Interval bounds: never violated, exact where that is known, and a certificate that enumeration confirms."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.research.training.recipe import Recipe

pytestmark = pytest.mark.keras


def _gated(scheme: str, side: int = 6) -> Any:
    """A network with every kind of layer that the paper's has."""
    import tf_keras
    from tf_keras import layers

    from stq_deploy.research.quantizers.fast import use_fast_activations
    from stq_deploy.research.quantizers.straight_input import pass_gradient_through_input
    from stq_deploy.zoo.layers import SchemeLayers
    from stq_deploy.zoo.schemes import get_scheme

    tf_keras.utils.set_random_seed(6)
    chosen = get_scheme(scheme)
    make = SchemeLayers(chosen)
    inputs = layers.Input((side, side, 1), name="input")
    x = make.activation(inputs, "quantize_input", chosen.input, "linear")
    x = make.relu(make.batch_norm(make.conv(x, "conv", 8, 3), "bn"), "relu")
    gate = make.activation(make.depthwise(x, "dw"), "gate", chosen.gate, "sigmoid")
    x = layers.Add(name="add")([x, layers.Multiply(name="mul")([x, gate])])
    x = layers.MaxPooling2D(2, name="pool")(make.relu(x, "act"))
    x = make.relu(make.batch_norm(make.separable(x, "sep", 8), "bn_sep"), "relu_sep")
    x = make.dense(layers.Flatten(name="flatten")(x), "fc1", 8)
    x = make.activation(make.activation(x, "pre", chosen.pre_sigmoid, "linear"), "sigmoid", chosen.sigmoid, "sigmoid")
    x = make.batch_norm(make.dense(x, "fc2", 3, bias=True), "bn_fc2")
    model = tf_keras.Model(inputs, layers.Activation("softmax", name="softmax")(x))
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):  # factors of both signs, shifts, statistics
            size = layer.gamma.shape[0]
            spread = [
                rng.normal(0, 1, size),
                rng.normal(0, 0.3, size),
                rng.normal(0, 0.3, size),
                rng.uniform(0.2, 2, size),
            ]
            layer.set_weights(spread)
    use_fast_activations(model)
    pass_gradient_through_input(model)
    return model


@pytest.mark.parametrize("scheme", ["fp", "stq", "binary", "8bit"])
@pytest.mark.parametrize("training", [False, True])
def test_no_sample_within_the_budget_leaves_the_bounds(scheme: str, training: bool) -> None:
    import tensorflow as tf

    from stq_deploy.research.training.interval_bounds import IntervalNetwork
    from stq_deploy.zoo.networks import logits_view

    model = _gated(scheme)
    intervals, view = IntervalNetwork(model), logits_view(model)
    rng = np.random.default_rng(0)
    x = rng.random((16, 6, 6, 1), dtype=np.float32)
    point = intervals(tf.constant(x), tf.constant(0.0), training=False)
    expected = view(x).numpy()
    for found in (point.clean, point.lower, point.upper):
        np.testing.assert_allclose(found, expected, atol=1e-4)

    eps = 3 / 255
    bounds = intervals(tf.constant(x), tf.constant(eps), training=training)
    lower, upper = bounds.lower.numpy() - 1e-4, bounds.upper.numpy() + 1e-4
    if training:  # the bounds are of a network with the clean batch's statistics: only the clean samples can be asked
        from stq_deploy.research.quantizers import noise

        with noise.deterministic():
            expected = view(x, training=True).numpy()
        np.testing.assert_allclose(bounds.clean, expected, atol=1e-3)
        assert ((lower <= expected) & (expected <= upper)).all()
        return
    for kind in range(40):
        change = rng.uniform(-eps, eps, x.shape) if kind % 2 else eps * rng.choice([-1, 1], x.shape)
        logits = view(np.clip(x + change, 0, 1).astype(np.float32)).numpy()
        assert ((lower <= logits) & (logits <= upper)).all()
    assert (upper - lower).min() > 1e-3


def test_bounds_of_one_linear_layer_are_exact() -> None:
    import tensorflow as tf
    import tf_keras
    from tf_keras import layers

    from stq_deploy.research.training.interval_bounds import IntervalNetwork, worst_logits

    inputs = layers.Input((4, 4, 1))
    model = tf_keras.Model(inputs, layers.Activation("softmax")(layers.Dense(3)(layers.Flatten()(inputs))))
    w, b = model.get_weights()
    x = np.random.default_rng(0).uniform(0.2, 0.8, (5, 4, 4, 1)).astype(np.float32)
    bounds = IntervalNetwork(model)(tf.constant(x), tf.constant(0.1), training=True)
    middle, half = x.reshape(5, 16) @ w + b, 0.1 * np.abs(w).sum(0)
    np.testing.assert_allclose(bounds.lower, middle - half, atol=1e-5)
    np.testing.assert_allclose(bounds.upper, middle + half, atol=1e-5)
    worst = worst_logits(bounds, tf.one_hot([1] * 5, 3)).numpy()
    np.testing.assert_allclose(worst, middle + half * np.array([1, -1, 1]), atol=1e-5)


def test_what_is_proved_holds_for_every_picture_there_is() -> None:
    """All 5^4 pictures within two levels of 2x2 pixels are asked."""
    from stq_deploy.research.training.batch_norm import BatchNormEstimator
    from stq_deploy.research.training.certified_accuracy import CertifiedEvaluator
    from stq_deploy.research.training.evaluate import Evaluator

    model = _gated("4bit", side=2)
    x = np.random.default_rng(0).integers(2, 254, (250, 2, 2, 1), dtype=np.uint8)
    BatchNormEstimator(model).estimate(x)  # so that there is more than one answer
    x = x[:60]
    evaluator = Evaluator(model)
    y = evaluator.predict(x)
    certified = CertifiedEvaluator(model)
    changes = np.array(list(itertools.product(range(-2, 3), repeat=4)), np.int64).reshape(-1, 2, 2, 1)
    found = [certified.accuracy(x[[n]], y[[n]], 2 / 255) for n in range(len(x))]
    assert 0.1 < np.mean(found) < 0.95
    steady = []
    for picture, label in zip(x, y, strict=True):
        around = (picture.astype(np.int64) + changes).astype(np.uint8)
        steady.append((evaluator.predict(around) == label).all())
    assert all(holds for holds, proved in zip(steady, found, strict=True) if proved)
    assert not all(steady)
    assert certified.accuracy(x, y, 0.0) == 1
    assert certified.accuracy(x, (y + 1) % 3, 2 / 255) == 0
    assert certified.accuracy(x, y, 2 / 255) == pytest.approx(np.mean(found))


def test_layers_of_unknown_bounds_are_refused() -> None:
    import tf_keras
    from tf_keras import layers

    from stq_deploy.research.training.interval_bounds import IntervalNetwork

    inputs = layers.Input((4,))
    x = layers.Activation("gelu", name="odd")(layers.Dense(3)(inputs))
    with pytest.raises(StqError, match=r"'odd' \(Activation\)"):
        IntervalNetwork(tf_keras.Model(inputs, layers.Activation("softmax")(x)))


def test_the_loss_turns_to_the_bounds_as_eps_rises() -> None:
    import tensorflow as tf

    from stq_deploy.research.training.interval_bounds import IntervalNetwork, worst_logits
    from stq_deploy.research.training.objective import make_objective

    model = _gated("fp")
    rng = np.random.default_rng(0)
    x, y = tf.constant(rng.random((8, 6, 6, 1), dtype=np.float32)), tf.one_hot(rng.integers(0, 3, 8), 3)
    recipe = Recipe(certified_share=0.6, stochastic="none", adversary_eps=4.0)
    objective = make_objective(model, recipe)

    def loss(eps: float) -> float:
        return float(objective(x, y, None, None, tf.constant(eps / 255))[0])

    def cross_entropy(logits: Any) -> float:
        return float(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits)))

    bounds = IntervalNetwork(model)(x, tf.constant(2 / 255), training=True)
    plain = cross_entropy(bounds.clean)
    assert loss(0.0) == pytest.approx(plain, rel=1e-4)
    assert loss(2.0) == pytest.approx(0.7 * plain + 0.3 * cross_entropy(worst_logits(bounds, y)), rel=1e-4)
    with pytest.raises(ValueError, match="neither an adversary"):
        Recipe(certified_share=0.6, stochastic="none", adversary="pgd")
    with pytest.raises(ValueError, match="stochastic = 'none'"):
        Recipe(certified_share=0.6)
