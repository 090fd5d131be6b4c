"""From samples to input levels and back."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import TensorType
from stq_deploy.network.input_format import InputFormat, dequantize_input, model_values, quantize_input

PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 256)


def test_pixels_of_any_range_are_levels_one_to_one() -> None:
    for low, high, scale, zero in ((0.0, 1.0, 1 / 255, -128), (0.0, 255.0, 1.0, -128), (-128.0, 127.0, 1.0, 0)):
        spec = TensorType((256,), "int8", -128, 127, scale, zero)
        format = InputFormat(spec, low, high)
        levels = quantize_input(PIXELS, format)
        assert levels.tolist() == [list(range(-128, 128))]
        assert quantize_input((PIXELS / np.float32(255)).astype(np.float32), format).tolist() == levels.tolist()
        np.testing.assert_allclose(format.samples(levels), PIXELS / 255, atol=1e-6)
        np.testing.assert_allclose(dequantize_input(levels, spec), model_values(PIXELS, low, high), atol=1e-5)


def test_rounding_is_to_even_and_clips() -> None:
    format = InputFormat(TensorType((5,), "int8", -2, 3, 1.0, 1))
    assert quantize_input(np.float32([[-9.0, 0.5, 1.5, 2.5, 9.0]]), format).tolist() == [[-2, 1, 3, 3, 3]]


def test_features_are_the_models_values() -> None:
    features = np.float32([[-123.4, 25.7]])
    np.testing.assert_array_equal(model_values(features, 0.0, 1.0), features)


@pytest.mark.parametrize("x", [np.float32([[0.5, 255.0]]), np.float32([[-0.1, 0.5]])])
def test_where_pixels_are_mapped_other_floats_are_refused(x: np.ndarray) -> None:
    with pytest.raises(StqError, match=r"takes pixels in \[0, 1\] and maps them to 0\.\.255 itself"):
        model_values(x, 0.0, 255.0)
    with pytest.raises(StqError, match="NaN or infinite"):
        model_values(x * np.float32(np.inf), 0.0, 255.0)
