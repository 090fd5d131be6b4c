"""Integer weights and scales against QKeras's quantized weights."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.integer_kernels import integer_kernel
from stq_deploy.frontend.quantizer_arithmetic import Quantized
from stq_deploy.frontend.quantizer_values import quantized_numbers
from stq_deploy.frontend.quantizers import CONSTANT, KERNEL, read_quantizer
from stq_deploy.frontend.source import FloatKernel, IntegerKernel
from tests.helpers.model_files import random

pytestmark = pytest.mark.keras

CASES = [
    ("ternary(alpha='auto_po2')", 2, True),
    ("ternary(alpha='auto')", 2, False),
    ("ternary(alpha='auto_po2',use_stochastic_rounding=True)", 2, True),
    ("ternary(alpha=0.5,threshold=0.2)", 2, True),
    ("ternary()", 2, True),
    ("stochastic_ternary(alpha='auto_po2')", 2, True),
    ("stochastic_ternary(alpha='auto')", 2, False),
    ("stochastic_ternary(alpha=0.7)", 2, False),
    ("binary(alpha='auto_po2')", 1, True),
    ("binary(alpha='auto')", 1, False),
    ("binary(use_01=True,alpha=1)", 1, True),
    ("binary(use_01=True,alpha='auto')", 1, False),
    ("stochastic_binary(alpha='auto_po2')", 1, True),
    ("quantized_bits(2,0,1,alpha='auto_po2')", 2, True),
    ("quantized_bits(4,0,1,alpha='auto_po2')", 4, True),
    ("quantized_bits(4,0,1,alpha='auto')", 4, False),
    ("quantized_bits(4,0,1,alpha='auto',scale_axis=-1)", 4, False),
    ("quantized_bits(3,1,1,alpha='auto_po2')", 4, True),
    ("quantized_bits(8,0,1,alpha='auto')", 8, False),
    ("quantized_bits(8,0)", 8, True),
    ("quantized_bits(8,0,0,alpha=0.3)", 8, False),
    ("quantized_bits(8,0,0,keep_negative=False,alpha=1)", 16, True),
    ("quantized_bits(9,1,0,alpha=1)", 16, True),
    ("quantized_bits(16,0,1,alpha='auto')", 16, False),
    ("quantized_bits(4,1,0,alpha=1)", 4, True),
    ("quantized_bits(3,0,0,keep_negative=False,alpha=1)", 4, True),
    ("quantized_bits(3,0,0,keep_negative=False,alpha='auto')", 4, False),
    ("quantized_bits(1,0,alpha=1)", 1, True),
    ("quantized_bits(1,0,keep_negative=False,alpha=1)", 1, True),
    ("quantized_po2(4)", 8, True),
    ("quantized_po2(3,max_value=1)", 8, True),
    ("quantized_po2(4,quadratic_approximation=True)", 16, True),
    ("quantized_relu_po2(3,max_value=1)", 16, True),
    ("quantized_relu_po2(3,negative_slope=0.25,log2_rounding='floor')", 8, True),
]


def qkeras_weights(text: str, values: np.ndarray) -> np.ndarray:
    """As a QKeras layer makes them: the quantizer from its text, `_set_trainable_parameter`, one call."""
    import tensorflow as tf
    from qkeras.quantizers import get_quantizer

    quantizer = get_quantizer(text)
    if hasattr(quantizer, "_set_trainable_parameter"):
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
    kernel = integer_kernel(FloatKernel(values, read_quantizer(text, KERNEL), values.shape), "layer", depthwise)
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
    kernel = integer_kernel(FloatKernel(values, read_quantizer(text, KERNEL), values.shape), "layer", False)
    assert (kernel.integers[..., 1] == 0).all()
    assert (kernel.scale > 0).all()


def test_weights_outside_the_quantizers_range_are_clipped_as_in_qkeras() -> None:
    values = np.array([[3.0, -5.0], [0.1, 0.2]], np.float32)
    kernel = integer_kernel(
        FloatKernel(values, read_quantizer("quantized_bits(4,0,1,alpha=1)", KERNEL), values.shape),
        "l",
        False,
    )
    assert kernel.integers.tolist() == [[7, -7], [1, 2]]


@pytest.mark.parametrize(
    "text",
    [
        "quantized_bits(8,0,1)",
        "quantized_bits(4,1,0,alpha=1)",
        "quantized_bits(31,3)",
        "binary(alpha='auto')",
        "ternary(threshold=0.1)",
        "quantized_po2(8)",
        "quantized_relu_po2(6, 2048)",
        "quantized_relu_po2(6, quadratic_approximation=True)",
    ],
)
def test_bias(text: str) -> None:
    from qkeras.quantizers import get_quantizer

    values = random(9, seed=2)
    bias = quantized_numbers(values, read_quantizer(text, CONSTANT), "layer")
    assert np.allclose(bias, np.asarray(get_quantizer(text)(values)), rtol=0, atol=2e-7)
    if "po2" in text:
        assert (np.frexp(np.abs(bias))[0] == 0.5).all()


def test_bias_without_quantizer_is_exact() -> None:
    values = random(9, seed=2)
    assert np.array_equal(quantized_numbers(values, None, "layer"), values.astype(np.float64))


def test_not_integers_times_a_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    from stq_deploy.frontend import quantizer_values

    monkeypatch.setattr(
        quantizer_values, "quantize", lambda v, q: Quantized(np.asarray(v, np.float64) * 0.3, np.ones(1))
    )
    quantizer = read_quantizer("ternary(alpha='auto')", KERNEL)
    with pytest.raises(StqError, match="not integers times its scale") as caught:
        integer_kernel(FloatKernel(random(3, 4), quantizer, (3, 4)), "dense", False)
    assert "'dense'" in caught.value.where


def kernel_of(text: str, values: np.ndarray, depthwise: bool = False) -> IntegerKernel:
    return integer_kernel(FloatKernel(values, read_quantizer(text, KERNEL), values.shape), "conv", depthwise)


def test_powers_of_two_that_lie_too_far_apart() -> None:
    values = random(3, 4)
    values[1, 1] = 0
    with pytest.raises(StqError, match=r"powers of two from 2\*\*-64 to 2\*\*0") as caught:
        kernel_of("quantized_po2(8)", values)
    assert "'conv'" in caught.value.where
    assert "quantized_po2(4)" in caught.value.next


def test_a_scale_for_each_input_channel() -> None:
    values = random(3, 3, 2, 4)
    with pytest.raises(StqError, match="several scales within one output channel"):
        kernel_of("quantized_bits(4,0,1,alpha='auto',scale_axis=2)", values)
    # A depthwise kernel's outputs are its channels times its multiplier: there, it is a scale for each output.
    kernel = kernel_of("quantized_bits(4,0,1,alpha='auto',scale_axis=2)", values, depthwise=True)
    assert len(np.unique(kernel.scale)) == 2


def test_what_qkeras_cannot_compute_is_no_traceback() -> None:
    with pytest.raises(StqError, match="QKeras itself fails"):
        kernel_of("quantized_bits(4,0,1,alpha='auto',scale_axis=3)", random(3, 4))


@pytest.mark.parametrize("alpha", ["1", "'auto'", "'auto_po2'"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantized_linear_is_quantized_bits_rounded_to_even(bits: int, alpha: str) -> None:
    """Where no weight is halfway between two levels, QKeras's two quantizers agree."""
    values = random(3, 3, 5, 8, seed=bits)
    linear = kernel_of(f"quantized_linear({bits},0,1,alpha={alpha})", values)
    legacy = kernel_of(f"quantized_bits({bits},0,1,alpha={alpha})", values)
    assert np.allclose(linear.scale, legacy.scale, rtol=1e-6)
    assert np.array_equal(linear.integers, legacy.integers)
    assert linear.bits == legacy.bits


@pytest.mark.parametrize(
    ("text", "integers", "scale", "bits"),
    [
        ("quantized_linear(4,0,1,alpha=2)", [-7, -2, 0, 2, 7], 0.25, 4),  # ties to even; alpha stretches the range
        ("quantized_linear(4,0,0,alpha=1)", [-8, -5, 0, 5, 7], 0.125, 4),
        ("quantized_linear(3,-1,1,keep_negative=False,alpha=1)", [0, 0, 0, 7, 7], 0.0625, 4),
        ("quantized_linear(1,0,1,alpha=1)", [-1, -1, 1, 1, 1], 0.5, 1),
        ("quantized_linear(2,0,1,alpha='auto')", [-1, 0, 0, 0, 1], 2.125, 2),
    ],
)
def test_quantized_linear_by_hand(text: str, integers: list[int], scale: float, bits: int) -> None:
    kernel = kernel_of(text, np.array([[-2.125], [-0.625], [0], [0.625], [2.125]], np.float32))
    assert kernel.integers[:, 0].tolist() == integers
    assert (kernel.scale.tolist(), kernel.bits) == ([scale], bits)
