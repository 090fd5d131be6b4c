"""Quantizing activations as exact steps, against QKeras itself and by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.quantizers import ACTIVATION, ANYTHING, CONSTANT, KERNEL, affine_quantizer, read_quantizer
from stq_deploy.lowering.float_evaluation import quantized_level
from stq_deploy.lowering.stages import Clip, Leaky, Monotone
from stq_deploy.lowering.step_function import LevelBoundary, StepFunction, pull_back, step_function

TEXTS = [
    "quantized_relu(4,2)",
    "quantized_relu(8,0)",
    "quantized_relu(8,3)",
    "quantized_relu(1,1)",
    "quantized_relu(15,4)",
    "quantized_relu(4,2,negative_slope=0.25)",
    "quantized_relu(8,1,negative_slope=0.5)",
    "quantized_relu(2,0,negative_slope=0.25)",
    "quantized_relu(2,1,negative_slope=0.0078125)",
    "quantized_relu(1,1,negative_slope=0.5)",
    "quantized_relu(3,1,negative_slope=0.0625,relu_upper_bound=1,is_quantized_clip=False)",
    "quantized_relu(5,1,use_stochastic_rounding=True)",
    "quantized_relu(3,1,use_sigmoid=1)",
    "quantized_relu(1,0,use_sigmoid=1)",
    "quantized_relu(8,2,use_sigmoid=1)",
    "quantized_relu(4,1,1,0.25)",
    "quantized_relu(3,1,1,0.25)",
    "quantized_relu(4,0,1,1)",
    "quantized_relu(3,1,is_quantized_clip=False)",
    "quantized_relu(4,1,relu_upper_bound=0.75,is_quantized_clip=False)",
    "quantized_relu(4,1,negative_slope=0.5,relu_upper_bound=1,is_quantized_clip=False)",
    "quantized_relu(4,1,relu_upper_bound=6,is_quantized_clip=False)",
    "quantized_relu(4,1,relu_upper_bound=0.75)",
    "quantized_bits(8,3,1,alpha=1)",
    "quantized_bits(4,0)",
    "quantized_bits(4,1,0,keep_negative=False)",
    "quantized_bits(8,0,0,keep_negative=False)",
    "quantized_bits(1,0)",
    "quantized_bits(4,0,1,alpha=0.3)",
    "quantized_bits(12,3,use_stochastic_rounding=True)",
    "quantized_bits(16,5,1,alpha=1)",
    "quantized_sigmoid(8,use_real_sigmoid=True)",
    "quantized_sigmoid(4,symmetric=True,use_real_sigmoid=True)",
    "quantized_tanh(8,use_real_tanh=True)",
    "quantized_tanh(3,symmetric=True,use_real_tanh=True)",
    "ternary()",
    "ternary(alpha=0.5,threshold=0.75)",
    "binary()",
    "binary(use_01=True)",
    "binary(alpha=2)",
]
LINEAR_TEXTS = [
    "quantized_linear(8,3)",
    "quantized_linear(4,-2,0)",
    "quantized_linear(4,1,keep_negative=False)",
    "quantized_linear(4,1,alpha=0.3)",
    "quantized_linear(1,0)",
    "quantized_linear(1,2,alpha=0.5)",
    "quantized_linear(14,2,alpha=3)",
]
"""qkeras 0.9.0 does not have them."""


def steps_of(text: str) -> StepFunction:
    return step_function(read_quantizer(text, ACTIVATION))


def exact_levels(steps: StepFunction, values: np.ndarray) -> np.ndarray:
    return np.array([_level(steps, Fraction(float(v))) for v in values])


def _level(steps: StepFunction, v: Fraction) -> int:
    """The last level whose condition holds; those above it fail, as boundaries ascend."""
    low, high = steps.minimum, steps.maximum
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if steps.boundary(middle).holds(v) else (low, middle - 1)
    return low


def boundary_values(steps: StepFunction) -> np.ndarray:
    """The boundaries of every level, or of the lowest, the highest and some between."""
    levels = np.arange(steps.minimum + 1, steps.maximum + 1)
    if len(levels) > 300:
        levels = np.concatenate([levels[:20], np.random.default_rng(0).choice(levels, 100), levels[-20:]])
    found = [steps.boundary(int(level)).value for level in levels]
    return np.array([float(value) for value in found if value is not None])


def probes(steps: StepFunction) -> np.ndarray:
    """Every boundary to the nearest float32, its two neighbours, a grid of ties, the far ends, and random values."""
    at = boundary_values(steps).astype(np.float32)
    # Beside 0 a small number: the very next ones are subnormal, and TensorFlow takes those for 0.
    before, after = (np.nextafter(at, np.float32(side)) for side in (-np.inf, np.inf))
    around = [np.where(at == 0, -1e-9, before), at, np.where(at == 0, 1e-9, after)]
    grid = np.arange(-64, 65, dtype=np.float32) / 16
    noise = np.random.default_rng(0).normal(0, 3, 200).astype(np.float32)
    ends = np.array([-100, 0, 100], np.float32)
    return np.concatenate([*around, grid, noise, ends]).astype(np.float32)


@pytest.mark.parametrize("text", TEXTS + LINEAR_TEXTS)
def test_float64_formulas_agree_with_the_exact_steps(text: str) -> None:
    steps, quantizer = steps_of(text), read_quantizer(text, ACTIVATION)
    values = probes(steps)
    # At a transcendental boundary the nearest float32 is off by up to 1e-7, far more than float64's error.
    assert np.array_equal(quantized_level(quantizer, values.astype(np.float64)), exact_levels(steps, values))


@pytest.mark.keras
@pytest.mark.parametrize("text", TEXTS)
def test_qkeras_agrees_with_the_exact_steps(text: str) -> None:
    import qkeras.quantizers
    import tensorflow as tf

    steps, quantizer = steps_of(text), read_quantizer(text, ACTIVATION)
    values = probes(steps)
    built = getattr(qkeras.quantizers, quantizer.name)(**quantizer.parameters)
    found = np.asarray(built(tf.constant(values)), np.float64) / float(steps.step)
    expected = exact_levels(steps, values)
    differing = np.flatnonzero(np.abs(found - expected) > 1e-3)
    # QKeras computes in float32: it may err next to a boundary that is not a float32 number, and nowhere
    # else.
    boundaries = boundary_values(steps)
    for i in differing:
        nearest = np.abs(boundaries - values[i]).min()
        assert nearest <= 4e-7 * max(1.0, abs(float(values[i]))), (values[i], found[i], expected[i])
    sigmoid = quantizer.parameters.get("use_sigmoid") or "real" in text
    if not sigmoid:
        assert len(differing) == 0  # rounding and clipping alone are exact in float32, too


@pytest.mark.parametrize(
    ("low", "high", "scale"), [(0, 255, "1/255"), (-128, 127, "3/64"), (-10, 245, "0.1"), (-1, 0, "7")]
)
def test_affine_levels_are_scaled_rounded_half_up_and_clipped(low: int, high: int, scale: str) -> None:
    quantizer = affine_quantizer(low, high, Fraction(scale))
    steps = step_function(quantizer)
    assert (steps.minimum, steps.maximum, steps.step) == (low, high, Fraction(scale))
    assert steps.zero_point == (0 if low >= -128 and high <= 127 else -128 - low)
    values = np.arange(4 * low - 8, 4 * high + 8) / 4 * float(Fraction(scale))  # every tie, nearly
    expected = [
        min(max(math.floor(Fraction(v) / Fraction(scale) + Fraction(1, 2)), low), high) for v in values.tolist()
    ]
    assert exact_levels(steps, values).tolist() == expected
    ties = [boundary.value for boundary in steps.boundaries]
    assert [steps.nearest(tie) for tie in ties if tie is not None] == list(range(low + 1, high + 1))
    away = np.array([v for v in values if min(abs(float(tie or 0) - v) for tie in ties) > 1e-9])
    assert np.array_equal(quantized_level(quantizer, away), exact_levels(steps, away))


def test_no_model_file_can_name_the_affine_quantizer() -> None:
    for allowed in (ACTIVATION, KERNEL, CONSTANT, ANYTHING):
        with pytest.raises(StqError, match="the quantizer 'affine' is not supported"):
            read_quantizer("affine(0,255,1)", allowed)
        with pytest.raises(StqError, match="'affine' is not supported"):
            read_quantizer({"class_name": "affine", "config": {"low": 0, "high": 255, "scale": 1}}, allowed)


def test_half_to_even() -> None:
    steps = steps_of("quantized_relu(4,2)")  # steps of 1/4: ties at odd multiples of 1/8
    ties = np.array([1, 3, 5, 7, 9]) / 8
    assert exact_levels(steps, ties).tolist() == [0, 2, 2, 4, 4]
    assert exact_levels(steps, np.array([-5.0, 0.0, 3.74, 3.75, 9.0])).tolist() == [0, 0, 15, 15, 15]
    assert (steps.minimum, steps.maximum, steps.step) == (0, 15, Fraction(1, 4))


def test_real_sigmoid_boundaries_are_logits() -> None:
    steps = steps_of("quantized_sigmoid(4,use_real_sigmoid=True)")
    for k, boundary in enumerate(steps.boundaries, start=1):
        t = (k - 0.5) / 16
        assert boundary.value is not None
        assert float(boundary.value) == pytest.approx(np.log(t / (1 - t)), rel=1e-14)
        assert not boundary.exact


@pytest.mark.parametrize(
    ("text", "range_"),
    [
        ("quantized_relu(8,0)", (0, 255)),
        ("quantized_relu(4,2,negative_slope=0.25)", (-2, 7)),
        ("quantized_relu(3,1,negative_slope=0.0625)", (-1, 12)),  # clipped at 1/4 of a step: levels are quarters
        ("quantized_bits(8,3,1)", (-127, 127)),
        ("quantized_bits(8,3)", (-128, 127)),
        ("quantized_sigmoid(8,use_real_sigmoid=True)", (0, 255)),
        ("quantized_tanh(8,use_real_tanh=True)", (-128, 127)),
        ("ternary()", (-1, 1)),
        ("binary(use_01=True)", (0, 1)),
    ],
)
def test_level_ranges_and_storage(text: str, range_: tuple[int, int]) -> None:
    steps = steps_of(text)
    assert (steps.minimum, steps.maximum) == range_
    assert steps.zero_point == (-128 if range_[1] > 127 else 0)


def test_pull_back() -> None:
    half, zero = Fraction(1, 2), Fraction(0)
    relu, sigmoid, tanh = Clip(zero, None), Monotone("sigmoid"), Monotone("tanh")
    assert pull_back(LevelBoundary(half, True), relu) == LevelBoundary(half, True)
    assert pull_back(LevelBoundary(zero, True), relu).holds(Fraction(-5))
    assert not pull_back(LevelBoundary(zero, False), relu).holds(zero)
    assert pull_back(LevelBoundary(half, False), sigmoid) == LevelBoundary(zero, False)
    assert not pull_back(LevelBoundary(Fraction(1), True), sigmoid).holds(Fraction(10**9))
    assert pull_back(LevelBoundary(zero, False), sigmoid).holds(Fraction(-(10**9)))
    assert pull_back(LevelBoundary(Fraction(-1), False), tanh).holds(Fraction(-(10**9)))
    pulled = pull_back(LevelBoundary(half, True), tanh)
    assert pulled.value is not None
    assert float(pulled.value) == pytest.approx(np.arctanh(0.5))


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("stage", [Clip(Fraction(0), Fraction(6)), Clip(None, Fraction(-1)), Leaky(Fraction(3, 16))])
def test_pull_back_agrees_with_the_stage_itself(stage: Clip | Leaky, inclusive: bool) -> None:
    def run(u: Fraction) -> Fraction:
        if isinstance(stage, Leaky):
            return u if u > 0 else stage.slope * u
        v = u if stage.low is None else max(u, stage.low)
        return v if stage.high is None else min(v, stage.high)

    points = [Fraction(n, 4) for n in range(-60, 61)]
    for value in points:
        boundary = LevelBoundary(value, inclusive)
        pulled = pull_back(boundary, stage)
        assert [pulled.holds(u) for u in points] == [boundary.holds(run(u)) for u in points]


def test_first_integer() -> None:
    assert LevelBoundary(Fraction(3), True).first_integer() == 3
    assert LevelBoundary(Fraction(3), False).first_integer() == 4
    assert LevelBoundary(Fraction(-7, 2), True).first_integer() == -3
    assert LevelBoundary(Fraction(-7, 2), False).first_integer() == -3
    assert LevelBoundary(None, True).first_integer() is None
    with pytest.raises(ArithmeticError):
        LevelBoundary(Fraction(5) + Fraction(1, 10**50), True, exact=False).first_integer()
