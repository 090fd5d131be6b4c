"""A frozen model is the same function, to the bit; its input quantizer passes every gradient."""

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def _model() -> Any:
    import qkeras
    import tf_keras

    tf_keras.utils.set_random_seed(2)
    inputs = tf_keras.Input((8, 8, 1))
    x = qkeras.QActivation("quantized_relu(8,0)", name="input_levels")(inputs)
    x = qkeras.QConv2D(
        4, 3, kernel_quantizer="ternary(alpha='auto')", bias_quantizer="quantized_bits(4,0)", name="conv"
    )(x)
    x = qkeras.QActivation("quantized_relu(4,2)", name="relu")(x)
    x = qkeras.QDepthwiseConv2D(3, depthwise_quantizer="quantized_bits(4,0,1,alpha='auto_po2')", name="dw")(x)
    x = qkeras.QSeparableConv2D(
        3, 2, depthwise_quantizer="quantized_bits(4,0,1)", pointwise_quantizer="binary(alpha=1)", name="sep"
    )(x)
    x = qkeras.QActivation("quantized_sigmoid(4,use_real_sigmoid=True)", name="gate")(x)
    x = tf_keras.layers.Flatten(name="flatten")(x)
    x = qkeras.QDense(5, kernel_quantizer="quantized_bits(4,0,1,alpha='auto')", use_bias=False, name="fc")(x)
    return tf_keras.Model(inputs, x)


def _logits_and_gradient(model: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow as tf

    from stq_deploy.research.quantizers.exact import keep_order_of_additions

    keep_order_of_additions()

    @tf.function
    def both(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = model(x, training=False)
            loss = tf.reduce_sum(logits[:, 0] - logits[:, 1])
        return logits, tape.gradient(loss, x)

    logits, gradient = both(tf.constant(x))
    return logits.numpy(), gradient.numpy()


def test_logits_and_gradients_are_the_same_bits() -> None:
    from stq_deploy.research.attacks.freeze import freeze

    model = _model()
    x = np.random.default_rng(0).uniform(0, 0.99, (64, 8, 8, 1)).astype(np.float32)
    before = _logits_and_gradient(model, x)
    assert freeze(model) == 6
    after = _logits_and_gradient(model, x)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    assert freeze(model) == 0
    model.get_layer("conv").set_weights([np.zeros((3, 3, 1, 4)), np.zeros(4)])
    np.testing.assert_array_equal(_logits_and_gradient(model, x)[0], after[0])


def test_the_input_quantizer_passes_gradients_where_it_clips() -> None:
    from stq_deploy.research.attacks.freeze import pass_gradient_through_input_quantizer

    model = _model()
    x = np.random.default_rng(0).uniform(0, 0.99, (8, 8, 8, 1)).astype(np.float32)
    x[:, :4] = 1.5  # beyond the quantizer's top
    logits, gradient = _logits_and_gradient(model, x)
    assert (gradient[:, :4] == 0).all()
    assert pass_gradient_through_input_quantizer(model) == 1
    same, passed = _logits_and_gradient(model, x)
    np.testing.assert_array_equal(same, logits)
    assert (passed[:, 1:3] != 0).mean() > 0.5
    np.testing.assert_array_equal(passed[:, 4:], gradient[:, 4:])


def test_quantizers_behind_layers_that_only_move_values_read_the_input_too() -> None:
    import qkeras
    import tf_keras

    from stq_deploy.research.attacks.freeze import pass_gradient_through_input_quantizer

    layers = tf_keras.layers
    inputs = tf_keras.Input((12,))
    x = layers.Dropout(0.2)(layers.Reshape((3, 4))(inputs))
    first = qkeras.QActivation("quantized_bits(4,0,1,alpha=1)")(x)
    second = qkeras.QActivation("quantized_bits(6,0,1,alpha=1)")(first)
    assert pass_gradient_through_input_quantizer(tf_keras.Model(inputs, second)) == 1
