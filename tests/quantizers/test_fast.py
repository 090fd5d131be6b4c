"""The fast quantized activations against qkeras' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def outputs_and_gradients(quantizer: Any, x: Any) -> tuple[Any, Any]:
    """Values and gradients of one quantizer, in float32."""
    import tensorflow as tf

    upstream = np.random.default_rng(1).normal(0, 1, x.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        variable = tf.constant(x)
        tape.watch(variable)
        y = quantizer(variable)
    return y.numpy(), tape.gradient(y, variable, output_gradients=tf.constant(upstream)).numpy()


def neighbours(x: Any) -> Any:
    """Each value, and the float32 just below and above it."""
    x = np.asarray(x, np.float32)
    return np.concatenate([np.nextafter(x, np.float32(-np.inf)), x, np.nextafter(x, np.float32(np.inf))])


@pytest.mark.parametrize(("bits", "integer"), [(4, 2), (8, 3), (8, 0), (2, 1), (3, 3), (6, 1), (16, 4)])
def test_the_relu_has_qkeras_values_and_gradients(bits: int, integer: int) -> None:
    import qkeras.quantizers as qk

    from stq_deploy.research.quantizers.fast import _fast_form, _FastRelu

    step = 2.0 ** (integer - bits)
    halves = np.arange(-6, min(2 ** (bits + 1), 4000) + 6) * step / 2  # hit the ties
    ends = 2.0**integer - step * np.arange(-6, 7) / 2
    rest = np.random.default_rng(0).normal(2.0**integer / 2, 2.0**integer, 5000)
    x = np.concatenate([neighbours(halves), neighbours(ends), rest, [np.inf, -np.inf, -0.0]]).astype(np.float32)

    own = qk.quantized_relu(bits, integer)
    fast = _fast_form(own)
    assert isinstance(fast, _FastRelu)
    (own_y, own_gradient), (y, gradient) = outputs_and_gradients(own, x), outputs_and_gradients(fast, x)
    finite = np.isfinite(x)  # qkeras makes inf - inf of the others
    np.testing.assert_array_equal(own_y[finite], y[finite])
    np.testing.assert_array_equal(own_gradient, gradient)
    np.testing.assert_array_equal(y, np.rint(np.clip(x, 0, 2.0**integer - step) / step) * step)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12])
def test_the_gate_has_qkeras_values_and_gradients(bits: int) -> None:
    import qkeras.quantizers as qk

    from stq_deploy.research.quantizers.fast import _fast_form, _FastSigmoid

    # inputs whose sigmoids are near the ties, of which the last one decides whether a gradient passes
    ties = (np.arange(2**bits) + 0.5) / 2**bits
    near = np.log(ties / (1 - ties)).astype(np.float32)
    around = np.concatenate([near + np.float32(step) for step in np.linspace(-2e-6, 2e-6, 81)])
    rest = np.random.default_rng(0).normal(0, 4, 5000)
    x = np.concatenate([around, rest, [0.0, 40.0, -40.0, 120.0, -120.0]]).astype(np.float32)

    own = qk.quantized_sigmoid(bits, use_real_sigmoid=True)
    fast = _fast_form(own)
    assert isinstance(fast, _FastSigmoid)
    (own_y, own_gradient), (y, gradient) = outputs_and_gradients(own, x), outputs_and_gradients(fast, x)
    np.testing.assert_array_equal(own_y, y)
    np.testing.assert_array_equal(own_gradient, gradient)


def test_the_tie_of_the_last_level_is_among_the_gates_cases() -> None:
    """A sigmoid of exactly 1 - 1/2k, where qkeras passes no gradient, while the float below it has one."""
    import tensorflow as tf

    from stq_deploy.research.quantizers.fast import _FastSigmoid

    x = np.float32(np.log(31.0)) + np.arange(-200, 200, dtype=np.float32) * np.float32(2.0**-22)
    p = tf.sigmoid(x).numpy()
    _, gradient = outputs_and_gradients(_FastSigmoid(bits=4, use_real_sigmoid=True), x)
    tie = np.float32(31 / 32)
    assert np.any(p == tie)
    assert np.any(p < tie)
    np.testing.assert_array_equal(gradient != 0, p < tie)


def test_not_a_number_stays_one() -> None:
    """A training that diverges is to be seen."""
    from stq_deploy.research.quantizers.fast import _FastRelu, _FastSigmoid

    x = np.full(40, np.nan, np.float32)
    for quantizer in (_FastRelu(bits=4, integer=2), _FastSigmoid(bits=4, use_real_sigmoid=True)):
        assert np.all(np.isnan(quantizer(x).numpy()))


def test_swapping_keeps_the_saved_text_and_skips_what_differs() -> None:
    import qkeras
    import tf_keras

    from stq_deploy.research.quantizers.fast import _FastRelu, _FastSigmoid, use_fast_activations

    model = tf_keras.Sequential(
        [
            tf_keras.layers.Input((3,)),
            qkeras.QActivation("quantized_relu(4,2)"),
            qkeras.QActivation("quantized_sigmoid(4,use_real_sigmoid=True)"),
            qkeras.QActivation("quantized_relu(1,1)"),
            qkeras.QActivation("quantized_relu(4,2,0,0.25)"),
            qkeras.QActivation("quantized_sigmoid(4)"),
            qkeras.QActivation("quantized_sigmoid(4,symmetric=True,use_real_sigmoid=True)"),
        ]
    )
    before = model.get_config()
    assert use_fast_activations(model) == 2
    assert isinstance(model.layers[0].quantizer, _FastRelu)
    assert isinstance(model.layers[1].quantizer, _FastSigmoid)
    assert model.get_config() == before
