"""Integer weights and scales against QKeras's quantized weights."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import random

from stq_deploy.errors import StqError
from stq_deploy.frontend.integer_kernels import exact_bias, integer_kernel
from stq_deploy.frontend.quantizers import KERNEL_QUANTIZERS, read_quantizer
from stq_deploy.frontend.source import FloatKernel

pytestmark = pytest.mark.keras

CASES = [
    ("ternary(alpha='auto_po2')", 2, True),
    ("ternary(alpha='auto')", 2, False),
    ("ternary(alpha=0.5,threshold=0.2)", 2, True),
    ("ternary()", 2, True),
    ("stochastic_ternary(alpha='auto_po2')", 2, True),
    ("stochastic_ternary(alpha='auto')", 2, False),
    ("binary(alpha='auto_po2')", 2, True),
    ("binary(alpha='auto')", 2, False),
    ("binary(use_01=True,alpha=1)", 2, True),
    ("stochastic_binary(alpha='auto_po2')", 2, True),
    ("quantized_bits(2,0,1,alpha='auto_po2')", 2, True),
    ("quantized_bits(4,0,1,alpha='auto_po2')", 4, True),
    ("quantized_bits(4,0,1,alpha='auto')", 4, False),
    ("quantized_bits(3,1,1,alpha='auto_po2')", 4, True),
    ("quantized_bits(8,0,1,alpha='auto')", 8, False),
    ("quantized_bits(8,0)", 8, True),
    ("quantized_bits(4,1,0,alpha=1)", 4, True),
    ("quantized_bits(3,0,0,keep_negative=False,alpha=1)", 4, True),
    ("quantized_bits(1,0,alpha=1)", 2, True),
]


def qkeras_weights(text: str, values: np.ndarray) -> np.ndarray:
    """As a QKeras layer makes them: the quantizer from its text, `_set_trainable_parameter`, one call."""
    import tensorflow as tf
    from qkeras.quantizers import get_quantizer

    quantizer = get_quantizer(text)
    quantizer._set_trainable_parameter()
    return np.asarray(quantizer(tf.constant(values)))


@pytest.mark.parametrize(("text", "bits", "power_of_two"), CASES)
@pytest.mark.parametrize(
    ("shape", "depthwise"), [((3, 3, 5, 8), False), ((3, 3, 6, 1), True), ((2, 3, 4, 3), True), ((20, 7), False)]
)
def test_integers_times_scale_are_qkeras_weights(
    text: str, bits: int, power_of_two: bool, shape: tuple[int, ...], depthwise: bool
) -> None:
    values = random(*shape, seed=7) * np.float32(0.8)
    kernel = integer_kernel(
        FloatKernel(values, read_quantizer(text, KERNEL_QUANTIZERS), values.shape), "layer", depthwise
    )
    assert kernel.bits == bits
    assert kernel.integers.shape == shape
    outputs = shape[-1] * shape[-2] if depthwise else shape[-1]
    assert kernel.scale.shape == (outputs,)
    scale = kernel.scale.reshape(shape[-2:]) if depthwise else kernel.scale
    expected = qkeras_weights(text, values)
    # x + (-x + s*k) may be off s*k by a unit or two in float32's last place.
    assert np.allclose(kernel.integers * scale, expected, rtol=0, atol=4e-7)
    assert len(np.unique(kernel.integers)) > 1
    if power_of_two:
        assert (np.frexp(kernel.scale)[0] == 0.5).all()
    if depthwise and shape[-1] == 1:
        assert len(np.unique(kernel.scale)) == 1  # a depthwise kernel has one scale in QKeras


@pytest.mark.parametrize(
    "text", ["ternary(alpha='auto')", "ternary(alpha='auto_po2')", "quantized_bits(4,0,1,alpha='auto')"]
)
def test_a_channel_of_zeros(text: str) -> None:
    values = random(3, 3, 2, 4)
    values[..., 1] = 0
    kernel = integer_kernel(FloatKernel(values, read_quantizer(text, KERNEL_QUANTIZERS), values.shape), "layer", False)
    assert (kernel.integers[..., 1] == 0).all()
    assert (kernel.scale > 0).all()


def test_weights_outside_the_quantizers_range_are_clipped_as_in_qkeras() -> None:
    values = np.array([[3.0, -5.0], [0.1, 0.2]], np.float32)
    kernel = integer_kernel(
        FloatKernel(values, read_quantizer("quantized_bits(4,0,1,alpha=1)", KERNEL_QUANTIZERS), values.shape),
        "l",
        False,
    )
    assert kernel.integers.tolist() == [[7, -7], [1, 2]]


@pytest.mark.parametrize("text", ["quantized_bits(8,0,1)", "quantized_bits(4,1,0,alpha=1)", "binary(alpha='auto')"])
def test_bias(text: str) -> None:
    from qkeras.quantizers import get_quantizer

    values = random(9, seed=2)
    bias = exact_bias(values, read_quantizer(text, KERNEL_QUANTIZERS), "layer")
    assert np.allclose(bias, np.asarray(get_quantizer(text)(values)), rtol=0, atol=2e-7)


def test_bias_without_quantizer_is_exact() -> None:
    values = random(9, seed=2)
    assert np.array_equal(exact_bias(values, None, "layer"), values.astype(np.float64))


def test_not_integers_times_a_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    from stq_deploy.frontend import integer_kernels

    monkeypatch.setattr(integer_kernels, "_qkeras_values", lambda v, q: (v.astype(np.float64) * 0.3, np.ones(1)))
    quantizer = read_quantizer("ternary(alpha='auto')", KERNEL_QUANTIZERS)
    with pytest.raises(StqError, match="not integers times its scale") as caught:
        integer_kernel(FloatKernel(random(3, 4), quantizer, (3, 4)), "dense", False)
    assert "'dense'" in caught.value.where
