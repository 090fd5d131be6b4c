"""Gated branches whose sigmoid or tanh no quantizer rounds, against Keras's predictions on raw values.

The logits are multiples of 1/8 in both; a rounding tie that float32 decides otherwise would show as a whole step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.regressions.keras_models import check_equals_keras, grid

pytestmark = pytest.mark.keras

BITS = "quantized_bits(4,0,alpha=1)"
SHAPE = (8, 8, 3)


def gated(branch: str, function: str, *, as_layer: bool = True) -> Any:
    """8 bits, convolution, 4-bit ReLU x; x + x * function(branch(x)), 4-bit ReLU, dense layer."""
    import qkeras
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(1)
    rng = np.random.default_rng(5)
    inputs = layers.Input(SHAPE)
    x = qkeras.QActivation("quantized_bits(8,0,alpha=1)")(inputs)
    x = qkeras.QConv2D(6, 3, padding="same", kernel_quantizer=BITS)(x)
    x = qkeras.QActivation("quantized_relu(4,1)")(x)
    end = {} if as_layer else {"activation": function}
    if branch.startswith("depthwise"):
        made = qkeras.QDepthwiseConv2D(
            3, padding="same", depthwise_quantizer=BITS, use_bias="bias" in branch, bias_initializer="he_normal", **end
        )
        gate = made(x)
    elif branch == "squeeze":
        gate = qkeras.QDense(6, kernel_quantizer=BITS, **end)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    else:
        gate = qkeras.QConv2D(6, 3, padding="same", kernel_quantizer="quantized_bits(4,0,alpha='auto_po2')", **end)(x)
    if "normalized" in branch:
        norm = layers.BatchNormalization()
        gate = norm(gate)
        norm.set_weights([rng.uniform(a, b, 6) for a, b in ((0.5, 1.5), (-1, 1), (-0.3, 0.3), (0.2, 1))])
    gate = layers.Activation(function)(gate) if as_layer else gate
    x = layers.Add()([x, layers.Multiply()([x, gate])])
    x = qkeras.QActivation("quantized_relu(4,2)")(x)
    x = qkeras.QDense(5, kernel_quantizer=BITS)(layers.Flatten()(x))
    return tf_keras.Model(inputs, x)


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize(
    "branch",
    ["depthwise", "depthwise, bias", "depthwise, normalized", "convolution", "convolution, normalized", "squeeze"],
)
def test_a_gate_without_a_quantizer(branch: str, function: str, tmp_path: Path) -> None:
    network = check_equals_keras(gated(branch, function), tmp_path / "m.h5", grid(SHAPE), tolerance=1e-5)
    curves = [op.name for op in network.ops if op.kind == "curve"]
    assert len(curves) == 1
    assert network.metadata.certificates[curves[0]].largest_error < 2**-23


def test_a_gate_as_the_activation_of_its_layer(tmp_path: Path) -> None:
    check_equals_keras(gated("depthwise", "sigmoid", as_layer=False), tmp_path / "m.h5", grid(SHAPE), tolerance=1e-5)


def test_a_gate_alone_and_at_the_end(tmp_path: Path) -> None:
    """`sigmoid(f(x)) * tanh(g(x))` as the model's output."""
    import qkeras
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(3)
    inputs = layers.Input((12,))
    x = qkeras.QActivation("quantized_bits(8,0,alpha=1)")(inputs)
    one = layers.Activation("sigmoid")(qkeras.QDense(4, kernel_quantizer=BITS)(x))
    other = layers.Activation("tanh")(qkeras.QDense(4, kernel_quantizer=BITS)(x))
    model = tf_keras.Model(inputs, layers.Multiply()([one, other]))
    # A product of two fixed-point numbers of 15 bits each.
    check_equals_keras(model, tmp_path / "m.h5", grid((12,)), tolerance=2**-13)
