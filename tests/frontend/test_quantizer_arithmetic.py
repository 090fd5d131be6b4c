"""Quantized weights in NumPy against qkeras, bit for bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stq_deploy.frontend.quantizer_arithmetic import quantize
from stq_deploy.frontend.quantizers import ANYTHING, Quantizer, read_quantizer
from stq_deploy.frontend.tensorflow_arithmetic import LN2, exp2, flushed, log, mean

pytestmark = pytest.mark.keras

ALPHAS = ("None", "1", "0.3", "'auto'", "'auto_po2'")
SHAPES = ((3, 3, 5, 8), (3, 3, 16, 1), (2, 3, 4, 3), (33, 17), (20, 7), (19,), (1, 9), (1, 1))


def settings() -> list[str]:
    """Every parameter of every quantizer of weights, at its ends and between."""
    bits = [
        f"quantized_bits({bits},{integer},{symmetric},keep_negative={negative},alpha={alpha})"
        for (bits, integer, symmetric), negative, alpha in itertools.product(
            ((1, 0, 0), (2, 0, 1), (4, 1, 0), (8, 0, 1), (8, 9, 1), (16, 2, 1), (31, 3, 0), (31, 31, 1)),
            (True, False), ALPHAS,
        )
    ]  # fmt: skip
    axes = [f"quantized_bits(4,0,1,alpha='{a}',scale_axis={k})" for a in ("auto", "auto_po2") for k in range(-1, 4)]
    linear = [
        f"quantized_linear({bits},{integer},{symmetric},keep_negative={negative},alpha={alpha})"
        for (bits, integer, symmetric), negative, alpha in itertools.product(
            ((1, 0, 1), (2, -3, 0), (4, 1, 1), (8, 0, 0), (16, 0, 1), (31, 31, 0)), (True, False), ALPHAS
        )
    ]
    linear_axes = [
        f"quantized_linear(4,0,1,alpha='{a}',scale_axis={k})" for a in ("auto", "auto_po2") for k in range(-1, 3)
    ]
    signs = [
        *(
            f"{name}(alpha={alpha})"
            for name in ("ternary", "stochastic_ternary", "stochastic_binary")
            for alpha in ALPHAS
        ),
        *(f"binary(use_01={use},alpha={alpha})" for use in (True, False) for alpha in ALPHAS),
        *(f"ternary(alpha='{a}',number_of_unrolls={n})" for a in ("auto", "auto_po2") for n in (1, 9)),
        "ternary(alpha='auto_po2',use_stochastic_rounding=True)",
        "ternary(alpha='auto',number_of_unrolls=2.0)",
        "ternary(alpha=0.7,threshold=0.125)",
        *(f"quantized_bits({b},alpha=1)" for b in ("8.0,4.0,1.0", "31,31.0,0", "4,30,0", "16.0,2,1")),
        *(f"quantized_bits({b},alpha='auto_po2')" for b in ("8.0,4.0,1.0", "31,31.0,0", "16.0,2,1")),
        "quantized_bits(4,0,1,alpha='auto',scale_axis=1.0)",
        "quantized_linear(4.0,1.0,alpha='auto_po2',scale_axis=1.0)",
        *(f"{name}(4.0,max_value=2.0)" for name in ("quantized_po2", "quantized_relu_po2")),
        "stochastic_ternary(threshold=0.2)",
    ]
    powers = [
        f"{name}({bits},max_value={bound},quadratic_approximation={quadratic},log2_rounding='{rounding}')"
        for name, bits, bound, quadratic, rounding in itertools.product(
            ("quantized_po2", "quantized_relu_po2"), (2, 4, 9, 32), (None, 0.7, 8), (True, False), ("rnd", "floor")
        )
    ]
    slopes = [f"quantized_relu_po2(4,negative_slope={slope})" for slope in (0.25, 1)]
    return bits + axes + linear + linear_axes + signs + powers + slopes


def numbers(kind: str, shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=shape).astype(np.float32)
    match kind:
        case "weights":
            return normal * np.float32(0.3)
        case "dead channels":
            return np.where(np.arange(shape[-1]) % 3 == 1, np.float32(0), normal)
        case "ties":  # on the borders of levels, and on zero of either sign
            return (np.rint(normal * 8) / 16 * np.float32(rng.choice([-1.0, 1.0]))).astype(np.float32)
        case "powers":  # neighbours of powers of two and of their geometric means
            near = np.ldexp(rng.choice([1.0, 2**0.5], shape), rng.integers(-24, 12, shape)).astype(np.float32)
            moved = near.view(np.int32) + rng.integers(-9, 10, shape).astype(np.int32)
            signed: np.ndarray = moved.view(np.float32) * rng.choice([-1, 1], shape).astype(np.float32)
            return signed
        case "subnormal":
            return np.ldexp(normal, rng.integers(-150, -115, shape)).astype(np.float32)
        case "mixed":  # small and large next to each other
            return np.ldexp(normal, rng.integers(-40, 20, shape)).astype(np.float32)
        case "huge":
            return np.ldexp(normal, rng.integers(90, 125, shape)).astype(np.float32)
    raise ValueError(kind)


def of_qkeras(x: np.ndarray, quantizer: Quantizer) -> tuple[np.ndarray, np.ndarray]:
    """QKeras's values, without the straight-through estimator where it can be left out, and its scale."""
    import qkeras.quantizers
    import tensorflow as tf

    if quantizer.name == "quantized_linear":
        from stq_deploy.frontend.linear_tensors import linear_levels

        levels, step, _ = linear_levels(tf.constant(x), quantizer)
        with np.errstate(all="ignore"):
            return np.asarray(levels, np.float64) * np.asarray(step, np.float64), np.asarray(step, np.float64)
    exact = {"use_ste": False} if "use_ste" in quantizer.parameters else {}
    built = getattr(qkeras.quantizers, quantizer.name)(**{**quantizer.parameters, **exact})
    return np.asarray(built(tf.constant(x)), np.float64), np.asarray(getattr(built, "scale", 0.0), np.float64)


def differences(text: str, x: np.ndarray) -> str:
    """Empty if values and scale are equal in every bit; else what is not."""
    quantizer = read_quantizer(text, ANYTHING)
    import tensorflow as tf

    try:
        values, scale = of_qkeras(x, quantizer)
    except (AssertionError, TypeError, ValueError, tf.errors.OpError):
        with pytest.raises((ValueError, TypeError)):
            quantize(x, quantizer)
        return ""
    ours = quantize(x, quantizer)
    if quantizer.name.endswith(("ternary", "binary")) and quantizer.parameters["alpha"] is None:
        values = np.rint(values)  # tanh(x) + (-tanh(x) + sign)
    if not np.array_equal(ours.values, values, equal_nan=True):
        return f"{text}: {(ours.values != values).sum()} of {x.size} values"
    if not np.array_equal(ours.unit, scale * of_a_level(quantizer), equal_nan=True):
        return f"{text}: the scale"
    return ""


def of_a_level(quantizer: Quantizer) -> float:
    """What integer 1 is worth in multiples of QKeras's scale."""
    if quantizer.name == "quantized_linear":
        return 0.5 if quantizer.integer("bits") == 1 and quantizer.flag("keep_negative") else 1.0
    if quantizer.name != "quantized_bits":
        return 1.0
    fraction = quantizer.integer("bits") - quantizer.flag("keep_negative")
    return 2.0 ** (quantizer.integer("integer") - fraction) if fraction else 1.0


@pytest.mark.parametrize("kind", ["weights", "dead channels", "ties", "powers", "subnormal", "mixed", "huge"])
def test_values_and_scales_are_those_of_qkeras(kind: str) -> None:
    """Another shape for each setting and each kind of numbers."""
    texts = settings()
    found = [
        f"{where} {shape}"
        for place, text in enumerate(texts)
        if (where := differences(text, numbers(kind, shape := SHAPES[(place + len(kind)) % len(SHAPES)], seed=place)))
    ]
    assert found == []


def test_what_qkeras_cannot_compute_fails() -> None:
    x = numbers("weights", (3, 4))
    for text in ("ternary(alpha='auto',number_of_unrolls=0)", "stochastic_ternary(alpha=1,threshold=1.0)"):
        with pytest.raises(ValueError, match="qkeras"):
            quantize(x, read_quantizer(text, ANYTHING))
    with pytest.raises(ValueError, match="no axis 3"):
        quantize(x, read_quantizer("quantized_bits(4,0,1,alpha='auto',scale_axis=3)", ANYTHING))


def test_a_weight_far_above_the_scale_is_lost_as_in_qkeras() -> None:
    """QKeras adds the difference to the weight: 2**24 + (1 - 2**24) is 1, and 2**30 + (1 - 2**30) is 0."""
    x = np.array([[2.0**24, -(2.0**30)]], np.float32)
    assert quantize(x, read_quantizer("ternary(alpha=1)", ANYTHING)).values.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        *(((rows, columns), (0,)) for rows in (1, 15, 16, 17, 31, 576, 1155) for columns in (1, 2, 7, 8, 9, 20, 64)),
        *(((count,), (0,)) for count in (1, 7, 8, 31, 32, 100, 1000, 8192, 8193, 9001, 30011)),
        ((7, 20, 9), (0, 2)), ((3, 3, 32, 1), (0, 1, 2)), ((5, 300), (1,)), ((3, 3, 20, 4), (0, 1, 3)),
    ],
)  # fmt: skip
def test_means_add_in_tensorflows_order(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    import tensorflow as tf

    for kind in ("weights", "mixed", "subnormal"):
        x = numbers(kind, shape)
        expected = np.asarray(tf.reduce_mean(tf.constant(x), axis=axes, keepdims=True))
        assert np.array_equal(mean(flushed(x), axes), flushed(expected)), kind


def test_an_order_of_its_own_matters() -> None:
    """Else the test above could not fail."""
    x = numbers("weights", (576, 64))
    assert (x.sum(axis=0, dtype=np.float64).astype(np.float32) / np.float32(576) != mean(x, (0,))[0]).any()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 4003])
def test_logarithms_near_the_borders_of_powers(count: int) -> None:
    """In full packets equal in every bit; after these, where a power of two is rounded to."""
    import tensorflow as tf

    x = np.abs(numbers("powers", (count,)))
    ours, expected = log(x), np.asarray(tf.math.log(tf.constant(x)))
    packed = count // 8 * 8
    assert np.array_equal(ours[:packed], expected[:packed])
    for to_whole in (np.rint, np.floor):
        assert np.array_equal(to_whole(ours / LN2), to_whole(expected / LN2))


def test_powers_of_two() -> None:
    import tensorflow as tf

    exponents = np.array([*range(-200, 200), np.inf, -np.inf, np.nan], np.float32)
    assert np.array_equal(exp2(exponents), np.asarray(tf.pow(2.0, tf.constant(exponents))), equal_nan=True)
