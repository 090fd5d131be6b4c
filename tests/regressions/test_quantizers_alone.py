"""Models of a single activation, as in hls4ml's own tests, against Keras's predictions on raw values."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.quantizers import ACTIVATION, read_quantizer
from stq_deploy.pipeline import Conversion, convert_model
from tests.helpers.regressions.keras_models import keras_predictions, network_predictions, saved

pytestmark = pytest.mark.keras

STEP = Fraction(1, 1024)
FIXED_16_6 = Conversion(input_range=(-32.0, 32.0 - float(STEP)), input_bits=16, input_step=STEP)

ROWS = [
    "quantized_bits(8,0,alpha=1)",
    "quantized_bits(8,4,alpha=1)",
    "quantized_bits(10,0,alpha=1)",
    "quantized_relu(4)",
    "quantized_relu(10)",
    "quantized_relu(10,5)",
    "quantized_relu(4,negative_slope=0.5)",
    "quantized_relu(8,4,negative_slope=1.0)",
    "quantized_relu(10,2,negative_slope=0.25)",
    "quantized_relu(12,4,negative_slope=0.125,relu_upper_bound=6.0)",
    "quantized_relu(9,0,negative_slope=0.0078125)",
    "quantized_tanh(8)",
    "quantized_sigmoid(5)",
    "quantized_sigmoid(7,use_real_sigmoid=True)",
    "ternary(alpha=1)",
    "binary(alpha=1)",
    "binary_tanh",
    "binary_sigmoid",
    "hard_tanh",
    "relu",
]


@pytest.mark.parametrize("activation", ROWS)
def test_an_activation_alone(activation: str, tmp_path: Path) -> None:
    import qkeras
    import tf_keras

    inputs = tf_keras.layers.Input((8,))
    model = tf_keras.Model(inputs, qkeras.QActivation(activation)(inputs))
    rng = np.random.default_rng(1)
    integers = np.concatenate(
        [rng.integers(-32768, 32768, 4000), rng.integers(-2048, 2048, 4000), np.arange(-200, 200)]
    )
    x = (integers.reshape(-1, 8) * float(STEP)).astype(np.float32)
    network = convert_model(saved(model, tmp_path / "m.h5"), FIXED_16_6)
    found, expected = network_predictions(network, x), keras_predictions(model, x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2.0**-25 if activation == "relu" else 0)


def test_without_a_range_it_is_asked_for(tmp_path: Path) -> None:
    import qkeras
    import tf_keras

    inputs = tf_keras.layers.Input((8,))
    model = tf_keras.Model(inputs, qkeras.QActivation("quantized_relu(4)")(inputs))
    with pytest.raises(StqError, match="not known"):
        convert_model(saved(model, tmp_path / "m.h5"))


@pytest.mark.parametrize("text", ["quantized_relu(9,0,negative_slope=0.00390625)", "quantized_relu(10,0,1,0.5)"])
def test_many_levels_that_are_no_two_lines(text: str) -> None:
    """One level below zero, or QKeras's steps of two: no such sum."""
    with pytest.raises(StqError, match="not supported"):
        read_quantizer(text, ACTIVATION)
