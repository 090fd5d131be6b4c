"""Jacobian norms against matrices written down by hand, and a step function whose gradient and difference differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stq_deploy.evaluation.jacobian_norms import INPUT, STEP, JacobianMeter, JacobianNorms

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(5)
FIRST, SECOND = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 5))


def measured(model: Any, x: np.ndarray, y: np.ndarray | None = None) -> JacobianNorms:
    labels = np.zeros(len(x), np.int64) if y is None else y
    return JacobianMeter(model).measure(x.astype(np.float32), labels, np.arange(len(x)))


def dense_model(activation: str | None) -> Any:
    """(2, 2, 1) -> 3 units -> 5 logits -> softmax, without biases."""
    import tf_keras

    image = tf_keras.Input((2, 2, 1))
    hidden = tf_keras.layers.Dense(3, activation, use_bias=False, name="first")(tf_keras.layers.Flatten()(image))
    model = tf_keras.Model(image, tf_keras.layers.Dense(5, "softmax", use_bias=False, name="second")(hidden))
    model.set_weights([FIRST, SECOND])
    return model


def test_norms_are_those_of_the_matrices() -> None:
    x, y = RNG.uniform(size=(7, 2, 2, 1)), RNG.integers(0, 5, 7)
    found = measured(dense_model("relu"), x, y)
    hidden = np.maximum(x.reshape(7, 4) @ FIRST, 0)
    logits = hidden @ SECOND
    jacobians = np.einsum("ih,nh,hk->nik", FIRST, hidden > 0, SECOND)
    assert found.places == (INPUT, "second")
    np.testing.assert_allclose(found.gradient[0], np.linalg.norm(jacobians, axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found.gradient[1], np.linalg.norm(SECOND), rtol=1e-5)
    np.testing.assert_allclose(found.size[1], np.sqrt(np.square(hidden).mean(axis=1)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.spread, logits.std(axis=1), rtol=1e-4)
    others = np.where(np.eye(5, dtype=bool)[y], -np.inf, logits).max(axis=1)
    np.testing.assert_allclose(found.margin, logits[np.arange(7), y] - others, rtol=1e-4, atol=1e-5)


def test_differences_average_to_the_norm_where_the_network_is_linear() -> None:
    x = RNG.uniform(0.1, 0.9, size=(400, 2, 2, 1))
    found = measured(dense_model(None), x)
    root = np.sqrt(np.square(found.difference).mean(axis=1))
    np.testing.assert_allclose(root, [np.linalg.norm(FIRST @ SECOND), np.linalg.norm(SECOND)], rtol=0.08)
    assert found.difference[0].std() > 0.01 * root[0]  # not the gradient's figure under another name


def test_a_samples_figures_do_not_depend_on_its_batch() -> None:
    x = RNG.uniform(size=(130, 2, 2, 1)).astype(np.float32)
    meter = JacobianMeter(dense_model("relu"))
    y, numbers = np.zeros(130, np.int64), np.arange(130)
    whole, part = meter.measure(x, y, numbers), meter.measure(x[110:], y[110:], numbers[110:])
    np.testing.assert_allclose(whole.difference[:, 110:], part.difference, rtol=1e-4)
    np.testing.assert_allclose(whole.gradient[:, 110:], part.gradient, rtol=1e-5)


def test_a_quantizer_has_a_gradient_where_it_has_no_difference() -> None:
    """Within a level of a coarse input quantizer nothing changes; straight through, the gradient stays."""
    import tf_keras
    from qkeras import QActivation

    image = tf_keras.Input((1, 1, 1))
    coarse = QActivation("quantized_relu(1,0)")(image)  # levels 0 and 1/2
    logits = tf_keras.layers.Dense(2, use_bias=False)(tf_keras.layers.Flatten()(coarse))
    model = tf_keras.Model(image, logits)
    model.set_weights([np.asarray([[3.0, 4.0]])])
    found = measured(model, np.full((5, 1, 1, 1), 0.5))
    np.testing.assert_allclose(found.gradient[0], 5, rtol=1e-5)
    assert not found.difference.any()


def test_signs_turn_where_the_input_would_leave_its_range() -> None:
    """At 0 and 1 an input quantizer would clip the step away: one input, so that every draw must give the norm."""
    import tf_keras

    image = tf_keras.Input((1, 1, 1))
    seen = tf_keras.layers.Lambda(lambda x: x)(image)
    clipped = tf_keras.layers.ReLU(max_value=1.0)(seen)
    model = tf_keras.Model(image, tf_keras.layers.Dense(2, use_bias=False)(tf_keras.layers.Flatten()(clipped)))
    model.set_weights([np.asarray([[3.0, 4.0]])])
    x = np.asarray([0.0, STEP / 2, 1.0, 1 - STEP / 2]).reshape(4, 1, 1, 1)
    np.testing.assert_allclose(measured(model, x).difference[0], 5, rtol=1e-3)
