"""Fixed-point types as hls4ml states them: rounding, overflow, and networks of layers without quantizers."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.fixed_types import ROUNDINGS, FixedType, LayerTypes, StatedTypes, fixed_kernel
from stq_deploy.network.reference import run
from stq_deploy.pipeline import Conversion, convert_model
from tests.helpers.model_files import ModelDraft, random

HALF = Fraction(1, 2)
# From UG1399: each mode's words, as arithmetic on fractions.
MEANING = {
    "TRN": math.floor,
    "TRN_ZERO": math.trunc,
    "RND": lambda v: math.floor(v + HALF),
    "RND_ZERO": lambda v: math.ceil(v - HALF) if v > 0 else math.floor(v + HALF),
    "RND_INF": lambda v: math.floor(v + HALF) if v > 0 else math.ceil(v - HALF),
    "RND_MIN_INF": lambda v: math.ceil(v - HALF),
    "RND_CONV": round,
}


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding_of_every_quarter(rounding: str) -> None:
    type_ = FixedType(12, 6, rounding=rounding)
    quarters = range(-40, 41)
    found = type_.round(np.array(quarters) / 4 * float(type_.step))
    assert found.tolist() == [MEANING[rounding](Fraction(n, 4)) for n in quarters]


@pytest.mark.parametrize(
    ("saturation", "signed", "expected"),
    [
        ("WRAP", True, [-8, 7, -8, 7, -1, 0]),
        ("SAT", True, [-8, 7, 7, -8, 7, -8]),
        ("SAT_SYM", True, [-7, 7, 7, -7, 7, -7]),
        ("SAT_ZERO", True, [-8, 7, 0, 0, 0, 0]),
        ("WRAP", False, [8, 7, 8, 7, 15, 0]),
        ("SAT", False, [0, 7, 8, 0, 15, 0]),
    ],
)
def test_overflow(saturation: str, signed: bool, expected: list[int]) -> None:
    type_ = FixedType(4, 4, signed, "TRN", saturation)
    assert type_.round(np.array([-8.0, 7, 8, -9, 15, -16])).tolist() == expected


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("type_", [FixedType(16, 6), FixedType(8, 1, True, "RND", "SAT"), FixedType(32, 5)])
def test_a_kernel_is_the_types_numbers_as_far_as_16_bits_go(type_: FixedType, depthwise: bool) -> None:
    values = random(3, 3, 4, 2)
    kernel = fixed_kernel(values, depthwise, type_)
    scale = kernel.scale.reshape(4, 2) if depthwise else kernel.scale
    assert np.abs(kernel.integers).astype(np.int64).reshape(-1, *scale.shape).sum(axis=0).max() <= 2**15 + 36
    exact = type_.round(values) * float(type_.step)
    if type_.bits <= 16:
        assert np.array_equal(kernel.integers * scale, exact)
    else:
        assert (np.abs(kernel.integers * scale - exact) <= scale.max() / 2).all()


def dense_layers() -> ModelDraft:
    draft = ModelDraft()
    draft.add("InputLayer", "x", batch_input_shape=[None, 6], sparse=False, ragged=False)
    draft.add(
        "Dense", "first", "x", arrays={"kernel": random(6, 5), "bias": random(5, seed=1)},
        units=5, activation="relu", use_bias=True,
    )  # fmt: skip
    draft.add(
        "Dense", "last", "first", arrays={"kernel": random(5, 3, seed=2), "bias": random(3, seed=3)},
        units=3, activation="linear", use_bias=True,
    )  # fmt: skip
    return draft


@pytest.mark.parametrize("rounding", ["TRN", "RND", "RND_CONV"])
def test_a_network_computes_with_the_types(rounding: str, tmp_path: Path) -> None:
    draft = dense_layers()
    result = FixedType(9, 3, True, rounding, "SAT")
    weights, default = FixedType(8, 2, True, "RND", "SAT"), FixedType(16, 6)
    types = StatedTypes(default, {"first": LayerTypes((weights,), weights, result)})
    step = Fraction(1, 2**8)
    asked = Conversion(input_range=(-1.0, 255 / 256), input_bits=9, input_step=step, fixed=types)
    network = convert_model(draft.save_h5(tmp_path / "m.h5"), asked)
    levels = np.random.default_rng(0).integers(-256, 256, (300, 6))
    first, last = draft.arrays["first"], draft.arrays["last"]
    unit = float(weights.step)
    x = levels * float(step) @ (weights.round(first["kernel"]) * unit) + weights.round(first["bias"]) * unit
    x = result.round(np.maximum(x, 0)) * float(result.step)
    coarse = float(default.step)
    x = x @ (default.round(last["kernel"]) * coarse) + default.round(last["bias"]) * coarse
    ours = run(network, levels).astype(np.float64) * network.output_type.scale
    assert np.array_equal(ours, x)
    assert len(np.unique(x)) > 100


@pytest.mark.parametrize("type_", [FixedType(17, 6), FixedType(12, 4, True, "TRN", "SAT_ZERO")])
def test_a_result_that_no_network_rounds_to_is_refused(type_: FixedType, tmp_path: Path) -> None:
    types = StatedTypes(FixedType(16, 6), {"first": LayerTypes(result=type_)})
    with pytest.raises(StqError, match="its result has the type fixed<") as caught:
        convert_model(dense_layers().save_h5(tmp_path / "m.h5"), Conversion(input_range=(-1.0, 1.0), fixed=types))
    assert "first" in caught.value.where
