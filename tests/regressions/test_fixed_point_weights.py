"""QKeras layers without a kernel quantizer whose weights are fixed-point numbers as they are, against Keras."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.pipeline import Conversion, convert_model
from tests.helpers.regressions.keras_models import keras_predictions, network_predictions, saved

pytestmark = pytest.mark.keras

STEP = Fraction(1, 256)
NINE_BITS = Conversion(input_range=(0.0, 1.0), input_bits=16, input_step=STEP)


def _layer(kind: str) -> Any:
    import qkeras

    relu = "quantized_relu(8,4)"
    if kind == "dense":
        return qkeras.QDense(4, kernel_quantizer=None, bias_quantizer=None, activation=relu)
    if kind == "conv":
        return qkeras.QConv2D(4, 3, kernel_quantizer=None, bias_quantizer=None, activation=relu)
    if kind == "depthwise":
        return qkeras.QDepthwiseConv2D(3, depthwise_quantizer=None, bias_quantizer=None, activation=relu)
    half = "quantized_bits(4,0,1,alpha=1)"  # one kernel of two is without a quantizer
    return qkeras.QSeparableConv2D(
        4, 3, depthwise_quantizer=None, pointwise_quantizer=half, bias_quantizer=None, activation=relu
    )


def _model(kind: str, step: float, top: int) -> Any:
    """Every kernel's weights are whole multiples of `step`, at most `top` of them."""
    import tf_keras

    shape = (12,) if kind == "dense" else (6, 6, 3)
    model = tf_keras.Sequential([tf_keras.layers.Input(shape), _layer(kind)])
    rng = np.random.default_rng(3)
    model.set_weights([rng.integers(-top, top + 1, w.shape) * step for w in model.get_weights()])
    return model


@pytest.mark.parametrize("kind", ["dense", "conv", "depthwise", "separable"])
@pytest.mark.parametrize(("step", "top"), [(1.0, 1), (0.25, 7), (2.0**-9, 100)])
def test_exact_weights_convert_as_they_are(kind: str, step: float, top: int, tmp_path: Path) -> None:
    model = _model(kind, step, top)
    x = np.random.default_rng(4).integers(0, 257, (64, *model.input_shape[1:])) / 256
    x = x.astype(np.float32)
    network = convert_model(saved(model, tmp_path / "m.h5"), NINE_BITS)
    expected = keras_predictions(model, x)
    assert np.unique(expected).size > 3
    np.testing.assert_array_equal(network_predictions(network, x), expected)


def test_other_weights_still_want_a_quantizer(tmp_path: Path) -> None:
    model = _model("dense", 0.25, 7)
    kernel, bias = model.get_weights()
    kernel[3, 2] = np.float32(0.3)
    model.set_weights([kernel, bias])
    with pytest.raises(StqError, match="kernel_quantizer is None: floating-point weights"):
        convert_model(saved(model, tmp_path / "m.h5"), NINE_BITS)
