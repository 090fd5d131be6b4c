"""Batch normalization folded into weights, against QKeras's own folding; numbers that QKeras quantizes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import parse_model, read_source
from stq_deploy.frontend import source as s
from stq_deploy.frontend.fold import folded_bias, folded_kernel
from stq_deploy.frontend.integer_kernels import integer_kernel
from stq_deploy.frontend.layer_table import undecided_remark
from stq_deploy.frontend.tensorflow_arithmetic import RSQRT_ULPS, Floats, rsqrt, shifted_rsqrt
from tests.helpers.model_files import WINDOW, ModelDraft, random

pytestmark = pytest.mark.keras

BITS = "quantized_bits(4,0,1,alpha='auto_po2')"
BATCH_NORM = {"axis": [3], "momentum": 0.99, "epsilon": 1e-3, "center": True, "scale": True}


def randomize(layer: Any, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for variable in layer.weights:
        if "iteration" not in variable.name:
            variable.assign(rng.uniform(0.01 if "variance" in variable.name else -1, 1, variable.shape))


@pytest.mark.parametrize("kind", ["QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm"])
@pytest.mark.parametrize("mode", ["ema_stats_folding", "batch_stats_folding"])
@pytest.mark.parametrize(("delay", "settings"), [(None, {}), (0, {"use_bias": False}), (100, {"scale": False})])
def test_bit_for_bit_as_in_qkeras(kind: str, mode: str, delay: int | None, settings: Any, tmp_path: Path) -> None:
    import qkeras
    import tf_keras

    depthwise = kind.startswith("QDepthwise")
    kernel = {"depthwise_quantizer": BITS, "depth_multiplier": 3} if depthwise else {"kernel_quantizer": BITS}
    kernel |= {} if depthwise else {"filters": 37}
    inputs = tf_keras.Input((5, 6, 7))
    layer = getattr(qkeras, kind)(kernel_size=3, folding_mode=mode, ema_freeze_delay=delay, **kernel, **settings)
    model = tf_keras.Model(inputs, layer(inputs))
    randomize(layer)
    kernel, bias = (np.asarray(part) for part in layer.get_folded_weights())
    for form in ("h5", "keras"):
        model.save(tmp_path / f"model.{form}")
        parsed = parse_model(tmp_path / f"model.{form}")
        (stored,), (given,) = parsed.kernels.values(), parsed.biases.values()
        assert_folded(lambda ulps, stored=stored: folded_kernel(stored, depthwise, ulps), kernel, bias.size)
        assert_folded(lambda ulps, given=given: folded_bias(given, ulps), bias, bias.size)


def assert_folded(ours: Callable[[int], Floats], expected: Floats, outputs: int) -> None:
    """Each output's numbers are TensorFlow's bits, with its reciprocal square root at most two float32 off ours.

    Outputs after the last full packet of eight have the very bits of ours.
    """
    shifted = np.array([ours(ulps).reshape(-1, outputs) for ulps in range(-2, 3)])
    equal = (shifted == expected.reshape(-1, outputs)).all(axis=1)
    assert equal.any(axis=0).all()
    assert equal[2, outputs // 8 * 8 :].all()


@pytest.mark.parametrize("count", [7, 8, 19, 4096])
def test_reciprocal_square_root_as_in_tensorflow(count: int) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(count)
    every_exponent = np.ldexp(rng.uniform(1, 2, (16, 276)), np.arange(-149, 127)).astype(np.float32).ravel()
    special = np.array([0, 1e-45, 1e-40, 2.0**-126, 3.4e38, np.inf, np.nan, -1, 1, 4, 0.25], np.float32)
    x = np.resize(np.concatenate([special, every_exponent]), (-(-4427 // count), count))
    for row in x:
        with tf.device("/CPU:0"):
            expected = tf.math.rsqrt(tf.constant(row)).numpy()
        packed = count // 8 * 8
        assert np.array_equal(rsqrt(row)[packed:], expected[packed:], equal_nan=True)
        lowest, highest = shifted_rsqrt(row, -RSQRT_ULPS)[:packed], shifted_rsqrt(row, RSQRT_ULPS)[:packed]
        inside = (lowest <= expected[:packed]) & (expected[:packed] <= highest)
        assert (inside | np.isnan(expected[:packed]) & np.isnan(lowest)).all()


def test_weights_that_the_processor_decides_are_counted(tmp_path: Path) -> None:
    """1/16 is half a level: it falls to either side with the square root of the first eight outputs, not the ninth."""
    outputs = 9
    draft = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, 4, 4, 2])
    ones = np.ones(outputs, np.float32)
    kernel = np.full((1, 1, 2, outputs), 1 / 16, np.float32)
    kernel[0, 0, 1] = 0.3
    statistics = {"gamma": ones, "beta": ones / 16, "moving_mean": ones * 0, "moving_variance": ones * np.float32(0.75)}
    draft.add(
        "QConv2DBatchnorm", "conv", "x", arrays={"kernel": kernel, "iteration": np.int64(7), **statistics},
        **{"filters": outputs, "kernel_size": [1, 1], **WINDOW, "use_bias": False, "activation": "linear",
           "kernel_quantizer": "quantized_bits(4,0,1,alpha=1)", "bias_quantizer": None, **BATCH_NORM,
           "epsilon": 0.25, "folding_mode": "ema_stats_folding", "ema_freeze_delay": None},
    )  # fmt: skip
    source = read_source(draft.save_h5(tmp_path / "m.h5"))
    (_, row) = source.table
    assert row.undecided == 8
    assert "weights at a tie of rounding: 8 of conv." in undecided_remark([("x", 0), ("conv", row.undecided)])
    assert undecided_remark([("conv", 0)]) == ""


def test_within_an_inner_model(tmp_path: Path) -> None:
    import qkeras
    import tf_keras

    def model_of(*layers: Any) -> Any:
        inputs = x = tf_keras.Input((5, 6, 2))
        for layer in layers:
            x = layer(x)
        return tf_keras.Model(inputs, x)

    conv = [qkeras.QConv2DBatchnorm(2, 3, kernel_quantizer=BITS, padding="same", name=f"conv{i}") for i in range(2)]
    model = model_of(model_of(*conv), qkeras.QConv2DBatchnorm(2, 3, kernel_quantizer=BITS, name="last"))
    for i, layer in enumerate((*conv, model.layers[-1])):
        randomize(layer, seed=i)
    expected = [np.asarray(layer.get_folded_weights()[0]) for layer in (*conv, model.layers[-1])]
    for form in ("h5", "keras"):
        model.save(tmp_path / f"model.{form}")
        found = [folded_kernel(kernel, False) for kernel in parse_model(tmp_path / f"model.{form}").kernels.values()]
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def batchnorm_layer(**changes: Any) -> ModelDraft:
    draft = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, 4, 4, 2])
    statistics = {"gamma": random(3), "beta": random(3), "moving_mean": random(3), "moving_variance": random(3) ** 2}
    return draft.add(
        "QConv2DBatchnorm", "conv", "x",
        arrays={"kernel": random(1, 1, 2, 3), "iteration": np.int64(7), **statistics},
        **{"filters": 3, "kernel_size": [1, 1], **WINDOW, "use_bias": False, "activation": "linear",
           "kernel_quantizer": BITS, "bias_quantizer": None, **BATCH_NORM, "folding_mode": "ema_stats_folding",
           "ema_freeze_delay": None, **changes},
    )  # fmt: skip


def test_tensorflow_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = batchnorm_layer().save_h5(tmp_path / "folded.h5")
    for module in ("tensorflow", "qkeras", "tf_keras"):
        monkeypatch.setitem(sys.modules, module, None)
    assert read_source(path).kernels


@pytest.mark.parametrize("multiplier", [0, 2])
def test_floating_point_weights_are_folded_before_post_training_quantization(multiplier: int) -> None:
    depthwise = multiplier > 0
    values = random(3, 3, 4, multiplier or 5)
    outputs = 4 * multiplier or 5
    fold = s.BatchNormFold(random(outputs), random(outputs), random(outputs), random(outputs) ** 2, 1e-3)
    kernel = s.FloatKernel(values, None, values.shape, fold)
    found = integer_kernel(kernel, "conv", depthwise)
    scale = found.scale.reshape(4, multiplier) if depthwise else found.scale
    assert np.allclose(found.integers * scale, folded_kernel(kernel, depthwise), rtol=0, atol=scale.max() / 2)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"center": False}, "center=False"),
        ({"axis": [1]}, "axis=[1]"),
        ({"folding_mode": "no_folding"}, "folding_mode='no_folding'"),
        ({"scale": False}, "stores the arrays"),
        ({"use_bias": True}, "stores the arrays"),
    ],
)
def test_refused_settings(changes: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(StqError) as caught:
        parse_model(batchnorm_layer(**changes).save_h5(tmp_path / "m.h5"))
    assert what in caught.value.what


def test_the_counter_of_training_steps_is_not_read(tmp_path: Path) -> None:
    parsed = parse_model(batchnorm_layer().save_h5(tmp_path / "m.h5"))
    assert [type(node) for node in parsed.nodes] == [s.InputNode, s.ConvolveNode, s.BiasNode]
    assert parsed.table[-1].parameters == 6 + 12


def test_quantized_statistics_are_exact(tmp_path: Path) -> None:
    """QKeras adds and subtracts x around a quantized x; the integer network means the power of two itself."""
    import qkeras
    import tf_keras

    inputs = tf_keras.Input((5, 6, 40))
    layer = qkeras.QBatchNormalization()
    model = tf_keras.Model(inputs, layer(inputs))
    randomize(layer)
    model.save(tmp_path / "m.h5")
    node = read_source(tmp_path / "m.h5").nodes[-1]
    assert isinstance(node, s.BatchNormNode)
    quantizers = dict(zip(("gamma", "beta", "mean", "variance"), layer.get_quantizers(), strict=True))
    for name, stored in zip(
        quantizers, (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance), strict=True
    ):
        found = getattr(node, name)
        assert (np.frexp(np.abs(found))[0] == 0.5).all()
        assert np.allclose(found, np.asarray(quantizers[name](stored)), rtol=1e-5, atol=1e-7)
    assert (np.frexp(node.variance)[1] % 2 == 1).all()  # an even power, for its square root


def test_a_variance_that_is_quantized_to_nothing(tmp_path: Path) -> None:
    draft = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, 4])
    arrays = {name: np.full(4, 0.01, np.float32) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    draft.add(
        "QBatchNormalization", "bn", "x", arrays=arrays, **BATCH_NORM | {"axis": [1], "epsilon": 0.0},
        variance_quantizer="quantized_bits(2,0,1,alpha=1)",
    )  # fmt: skip
    with pytest.raises(StqError, match="variance plus epsilon is not above 0") as caught:
        read_source(draft.save_h5(tmp_path / "m.h5"))
    assert "layer 'bn'" in caught.value.where
