"""Batch normalization folded into weights, against QKeras's own folding; numbers that QKeras quantizes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import parse_model, read_source
from stq_deploy.frontend import source as s
from stq_deploy.frontend.fold import folded_bias, folded_kernel
from stq_deploy.frontend.integer_kernels import integer_kernel
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
    expected_kernel, expected_bias = (np.asarray(part) for part in layer.get_folded_weights())
    for form in ("h5", "keras"):
        model.save(tmp_path / f"model.{form}")
        parsed = parse_model(tmp_path / f"model.{form}")
        (stored,), (bias,) = parsed.kernels.values(), parsed.biases.values()
        assert np.array_equal(folded_kernel(stored, depthwise), expected_kernel)
        assert np.array_equal(folded_bias(bias), expected_bias)


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


def test_without_tensorflow_the_error_names_the_file_and_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = batchnorm_layer().save_h5(tmp_path / "folded.h5")
    monkeypatch.setitem(sys.modules, "qkeras", None)
    with pytest.raises(StqError, match="folding batch normalization into weights needs TensorFlow") as caught:
        read_source(path)
    assert caught.value.where == str(path)
    assert "or give a converted .stq network" in caught.value.next


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
