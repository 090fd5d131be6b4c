"""Fitting a warm start's activations: the network computes the same, and its ReLUs fill their quantizers' ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

tf_keras = pytest.importorskip("tf_keras")
qkeras = pytest.importorskip("qkeras")

from stq_deploy.research.training.activation_ranges import fit_activations  # noqa: E402

pytestmark = pytest.mark.keras
layers = tf_keras.layers
FINE = "quantized_relu(24,2)"  # 0 .. 4 as good as continuous


def _relu(x: Any, name: str, quantized: bool, quantizer: str = FINE) -> Any:
    return (qkeras.QActivation(quantizer, name=name) if quantized else layers.Activation("relu", name=name))(x)


def _norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(name=name, epsilon=1e-12)(x)


def _gated(quantized: bool) -> Any:
    """Two gated blocks, a residual sum, and a dense head with a batch norm straight on an activation."""
    inputs = layers.Input((8, 8, 1), name="input")
    x = inputs
    for n in "12":
        x = layers.Conv2D(4, 3, padding="same", use_bias=n == "2", name=f"conv{n}")(x)
        x = _relu(_norm(x, f"bn{n}"), f"relu{n}", quantized)
        gate = layers.DepthwiseConv2D(3, padding="same", name=f"dw{n}")(x)
        gate = layers.Activation("sigmoid", name=f"gate{n}")(gate)
        x = _relu(layers.Add(name=f"add{n}")([x, layers.Multiply(name=f"mul{n}")([x, gate])]), f"act{n}", quantized)
        x = layers.MaxPooling2D(2, name=f"pool{n}")(x)
    x = _relu(_norm(x, "bn3"), "relu3", quantized)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(5, name="fc1")(x)
    x = _relu(x, "relu_fc1", quantized, "quantized_relu(24,6)")  # no batch norm before it: nothing to scale
    x = layers.Dense(3, name="fc2")(x)
    return tf_keras.Model(inputs, layers.Activation("softmax", name="softmax")(x))


@pytest.fixture
def twin() -> Any:
    """With small activations after the first two batch norms, and large ones after the third."""
    tf_keras.utils.set_random_seed(0)
    model, rng = _gated(quantized=False), np.random.default_rng(0)
    for name, size in (("bn1", 0.05), ("bn2", 0.8), ("bn3", 9.0)):
        norm = model.get_layer(name)
        shape = norm.gamma.shape
        norm.set_weights([rng.uniform(0.5, 1, shape) * size, rng.normal(0, 0.3, shape) * size, *norm.get_weights()[2:]])
        norm.moving_variance.assign(rng.uniform(0.01, 0.1, shape))
        norm.moving_mean.assign(rng.normal(0, 0.02, shape))
    return model


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(1).random((64, 8, 8, 1), dtype=np.float32)


def test_the_same_is_computed_in_fuller_ranges(twin: Any, inputs: np.ndarray) -> None:
    model = _gated(quantized=True)
    model.set_weights(twin.get_weights())
    factors = fit_activations(model, twin, inputs)
    assert factors.keys() == {"bn1", "bn2", "bn3"}
    assert all(np.log2(factor) % 1 == 0 for factor in factors.values())
    assert factors["bn1"] > factors["bn2"] > 1 > factors["bn3"]
    np.testing.assert_allclose(model.predict(inputs, verbose=0), twin.predict(inputs, verbose=0), atol=2e-4)
    for largest in (("act1", "relu1"), ("act2", "relu2"), ("relu3",)):
        outputs = [model.get_layer(name).output for name in largest]
        values = tf_keras.Model(model.input, outputs).predict(inputs, verbose=0)
        assert 1.99 < max(v.max() for v in (values if len(largest) > 1 else [values])) <= 4.01


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_few_levels_are_worth_some_clipping(bits: int) -> None:
    """The factor is the one of least squared error, found here by trying all of them on values of a long tail."""
    values = np.random.default_rng(2).laplace(0, 0.3, (256, 1)).astype(np.float32)
    start = layers.Input((1,), name="input")

    def build(quantized: bool) -> Any:
        x = _relu(_norm(start, "bn"), "relu", quantized, f"quantized_relu({bits},2)")
        return tf_keras.Model(start, layers.Dense(2, name="fc")(x))

    twin, model = build(False), build(True)
    model.set_weights(twin.get_weights())
    factor = fit_activations(model, twin, values).get("bn", 1.0)
    positive, step = np.maximum(values, 0), 4.0 / 2**bits

    def error(f: float) -> float:
        return float(np.square(np.clip(np.rint(positive * f / step), 0, 2**bits - 1) * step / f - positive).mean())

    assert factor == min((2.0**e for e in range(-4, 8)), key=error)
    assert (np.max(positive) * factor > 4) == (bits < 8)


def test_nothing_is_done_where_nothing_is_limited(twin: Any, inputs: np.ndarray) -> None:
    model = _gated(quantized=False)
    model.set_weights(twin.get_weights())
    assert fit_activations(model, twin, inputs) == {}
    for now, then in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("end", ["sigmoid", "output", "multiply"])
def test_what_cannot_be_divided_again_is_left(end: str, inputs: np.ndarray) -> None:
    """An activation that goes into a function that lets no factor through, or out of the network."""

    def build(quantized: bool) -> Any:
        start = layers.Input((8, 8, 1), name="input")
        x = _relu(_norm(start, "bn"), "relu", quantized)
        if end == "sigmoid":
            x = layers.Activation("sigmoid", name="sigmoid")(x)
        elif end == "multiply":
            x = layers.Dense(2, name="fc")(layers.Flatten(name="flat")(layers.Multiply(name="mul")([x, x])))
        return tf_keras.Model(start, x)

    twin, model = build(False), build(True)
    twin.get_layer("bn").gamma.assign([0.01])
    model.set_weights(twin.get_weights())
    assert fit_activations(model, twin, inputs) == {}
    np.testing.assert_allclose(model.predict(inputs, verbose=0), twin.predict(inputs, verbose=0), atol=1e-5)
