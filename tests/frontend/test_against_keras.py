"""Every layer as Keras and QKeras save it, with settings that are not the defaults: its nodes compute what it computes.

QKeras works in float32 and the nodes here in float64; nothing is rounded to levels, so the two agree to six digits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.frontend import SourceGraph, list_layers, read_source
from stq_deploy.frontend.keras_model import read_keras_model
from stq_deploy.frontend.layers import supported_kinds
from stq_deploy.lowering.float_graph import run_graph
from tests.helpers.keras_reference import assert_equal_outputs

pytestmark = pytest.mark.keras

IMAGE, ROW, VECTOR = (8, 7, 4), (10, 4), (12,)
PO2, TERNARY = "quantized_bits(4,0,1,alpha='auto_po2')", "ternary(alpha='auto')"
KERNEL = {"kernel_quantizer": PO2, "bias_quantizer": "quantized_bits(8,0,1)"}
DEPTHWISE = {"depthwise_quantizer": PO2, "bias_quantizer": None}
SEPARABLE = {"depthwise_quantizer": TERNARY, "pointwise_quantizer": PO2}

Case = tuple[str, dict[str, Any], tuple[int, ...]]
"""(Keras class, settings, input shape)."""

QUANTIZED: list[Case] = [
    ("QConv1D", {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "causal", **KERNEL}, ROW),
    ("QConv1D", {"filters": 6, "kernel_size": 3, "dilation_rate": 2, "padding": "causal", **KERNEL}, ROW),
    ("QConv1D", {"filters": 6, "kernel_size": 4, "padding": "same", "groups": 2, "use_bias": False, **KERNEL}, ROW),
    ("QConv1D", {"filters": 5, "kernel_size": 2, "padding": "valid", "activation": "hard_sigmoid", **KERNEL}, ROW),
    ("QConv2D", {"filters": 6, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same", **KERNEL}, IMAGE),
    ("QConv2D", {"filters": 6, "kernel_size": 3, "dilation_rate": (2, 1), "padding": "same", **KERNEL}, IMAGE),
    ("QConv2D", {"filters": 8, "kernel_size": 3, "groups": 4, "activation": "hard_tanh", **KERNEL}, IMAGE),
    ("QConv2D", {"filters": 3, "kernel_size": 1, "activation": "relu6", **KERNEL}, IMAGE),
    ("QDepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same", **DEPTHWISE}, IMAGE),
    ("QDepthwiseConv2D", {"kernel_size": (2, 3), "depth_multiplier": 3, "activation": "smooth_sigmoid", **DEPTHWISE},
     IMAGE),
    ("QDepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 2, "use_bias": False, **DEPTHWISE}, IMAGE),
    ("QSeparableConv2D", {"filters": 5, "kernel_size": 3, "strides": 2, "depth_multiplier": 2, **SEPARABLE}, IMAGE),
    ("QSeparableConv2D", {"filters": 5, "kernel_size": 2, "dilation_rate": 2, "padding": "same", **SEPARABLE}, IMAGE),
    ("QSeparableConv1D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", **SEPARABLE}, ROW),
    ("QSeparableConv1D", {"filters": 5, "kernel_size": 3, "depth_multiplier": 2, "activation": "smooth_tanh",
                          **SEPARABLE}, ROW),
    ("QDense", {"units": 5, **KERNEL}, VECTOR),
    ("QDense", {"units": 5, "activation": "tanh", **KERNEL}, ROW),
    ("QDense", {"units": 5, "use_bias": False, **KERNEL}, IMAGE),
    ("QDense", {"units": 5, **KERNEL}, (2, 3, 4, 5)),
    *(("QActivation", {"activation": name}, VECTOR) for name in (
        "linear", "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "softmax",
        "hard_sigmoid", "smooth_sigmoid", "hard_tanh", "smooth_tanh")),
    *(("Activation", {"activation": name}, ROW) for name in ("hard_sigmoid", "relu", "relu6", "softmax", "linear",
        "elu", "selu", "softplus", "softsign", "exponential", "swish", "gelu", "mish")),
    ("ELU", {"alpha": 1.25}, ROW),
    ("ELU", {"alpha": 0.0}, ROW),
    ("PReLU", {}, VECTOR),
    ("PReLU", {"shared_axes": [1, 2]}, IMAGE),
    ("PReLU", {"shared_axes": [1, 2, 3]}, IMAGE),
    ("ThresholdedReLU", {"theta": 0.75}, ROW),
    ("ThresholdedReLU", {"theta": 0.0}, ROW),
    ("ReLU", {"threshold": 0.5}, ROW),
    ("ReLU", {"threshold": 0.5, "max_value": 1.5, "negative_slope": 0.25}, ROW),
    ("ReLU", {"max_value": 1.5, "negative_slope": 0.3}, ROW),
    ("ReLU", {"max_value": 6}, IMAGE),
    ("ReLU", {"negative_slope": 0.1}, VECTOR),
    ("ReLU", {}, VECTOR),
    ("LeakyReLU", {}, ROW),
    ("LeakyReLU", {"alpha": 0.0}, ROW),
    ("Softmax", {}, VECTOR),
    ("QConv2DBatchnorm", {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "same", **KERNEL}, IMAGE),
    ("QConv2DBatchnorm", {"filters": 6, "kernel_size": 3, "use_bias": False, "scale": False, "epsilon": 0.1,
                          "folding_mode": "batch_stats_folding", "ema_freeze_delay": 10, **KERNEL}, IMAGE),
    ("QConv2DBatchnorm", {"filters": 6, "kernel_size": 2, "ema_freeze_delay": -1, "activation": "relu",
                          "kernel_quantizer": TERNARY, "bias_quantizer": None}, IMAGE),
    ("QDepthwiseConv2DBatchnorm", {"kernel_size": 3, "depth_multiplier": 2, **DEPTHWISE}, IMAGE),
    ("QDepthwiseConv2DBatchnorm", {"kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False,
                                   "folding_mode": "batch_stats_folding", **DEPTHWISE,
                                   "bias_quantizer": "quantized_po2(5)"}, IMAGE),
    ("QBatchNormalization", {}, IMAGE),
    ("QBatchNormalization", {"scale": False, "center": False, "epsilon": 1e-7}, ROW),
    ("QBatchNormalization", {"gamma_quantizer": None, "beta_quantizer": "quantized_bits(8,1,alpha='auto')",
                             "mean_quantizer": "quantized_bits(6,0,1)", "variance_quantizer": None}, VECTOR),
    ("QBatchNormalization", {"gamma_quantizer": "quantized_bits(8,1)", "mean_quantizer": None, "axis": -1,
                             "variance_quantizer": "quantized_bits(8,1,0,keep_negative=False)"}, IMAGE),
    ("QAveragePooling2D", {"pool_size": 3, "average_quantizer": "quantized_bits(4,0,1)"}, IMAGE),
    ("QAveragePooling2D", {"pool_size": (2, 3), "padding": "same", "strides": 1,
                           "average_quantizer": "quantized_bits(8,0,1,alpha=1)", "activation": "hard_tanh"}, IMAGE),
    ("QAveragePooling2D", {"activation": "quantized_relu(6,2)"}, IMAGE),
    ("QGlobalAveragePooling2D", {"average_quantizer": "quantized_bits(8,0,1)"}, IMAGE),
    ("QGlobalAveragePooling2D", {"keepdims": True, "activation": "quantized_bits(8,1,1)"}, IMAGE),
    ("BatchNormalization", {"epsilon": 0.01}, IMAGE),
    ("BatchNormalization", {"epsilon": 1e-7, "scale": False}, IMAGE),
    ("BatchNormalization", {"epsilon": 1e-7, "center": False}, ROW),
    ("BatchNormalization", {"axis": 1}, VECTOR),
    ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, ROW),
    ("MaxPooling2D", {"pool_size": (2, 3), "padding": "same"}, IMAGE),
    ("AveragePooling1D", {"pool_size": 3, "padding": "same"}, ROW),
    ("AveragePooling2D", {"pool_size": 3, "strides": (1, 2), "padding": "same"}, IMAGE),
    *((f"Global{kind}Pooling{d}D", {"keepdims": keep}, shape) for kind in ("Max", "Average")
      for d, shape in ((1, ROW), (2, IMAGE)) for keep in (False, True)),
    ("ZeroPadding1D", {"padding": (1, 2)}, ROW),
    ("ZeroPadding1D", {"padding": 2}, ROW),
    ("ZeroPadding2D", {"padding": ((1, 2), (0, 3))}, IMAGE),
    ("ZeroPadding2D", {"padding": (2, 1)}, IMAGE),
    ("Cropping1D", {"cropping": (3, 2)}, ROW),
    ("Cropping2D", {"cropping": ((1, 2), (0, 3))}, IMAGE),
    ("Cropping2D", {"cropping": 1}, IMAGE),
    ("UpSampling1D", {"size": 3}, ROW),
    ("UpSampling2D", {"size": (2, 3)}, IMAGE),
    ("Flatten", {}, IMAGE),
    ("Reshape", {"target_shape": (-1, 8)}, IMAGE),
    ("Permute", {"dims": (2, 1, 3)}, (1, 7, 4)),
    ("Identity", {}, ROW),
    *((kind, {"rate": 0.3}, IMAGE) for kind in ("Dropout", "SpatialDropout2D", "GaussianDropout", "AlphaDropout")),
    ("SpatialDropout1D", {"rate": 0.3}, ROW),
    ("GaussianNoise", {"stddev": 0.3}, ROW),
    ("ActivityRegularization", {"l1": 0.1}, ROW),
]  # fmt: skip

QUANTIZERS = [
    "quantized_relu(4,2)",
    "quantized_relu(12,3)",
    "quantized_relu(4,1,1,0.25)",
    "quantized_relu(4,1,relu_upper_bound=0.75,is_quantized_clip=False)",
    "quantized_bits(16,5,1,alpha=1)",
    "quantized_bits(4,0,1,alpha=0.3)",
    "quantized_sigmoid(4)",
    "quantized_sigmoid(3,symmetric=True)",
    "quantized_sigmoid(12)",
    "quantized_sigmoid(6,use_real_sigmoid=True)",
    "quantized_tanh(4)",
    "quantized_tanh(3,symmetric=True)",
    "quantized_tanh(14)",
    "quantized_tanh(6,use_real_tanh=True)",
    "ternary(alpha=0.5,threshold=0.75)",
    "stochastic_ternary()",
    "binary(use_01=True)",
    "stochastic_binary(alpha=2)",
]
FLOAT: list[Case] = [
    ("Conv1D", {"filters": 6, "kernel_size": 3, "strides": 2, "padding": "causal", "activation": "relu"}, ROW),
    ("Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2, "padding": "same", "activation": "hard_sigmoid"}, IMAGE),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, ROW),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2}, IMAGE),
    ("SeparableConv1D", {"filters": 5, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, ROW),
    ("SeparableConv2D", {"filters": 5, "kernel_size": 3, "depth_multiplier": 2}, IMAGE),
    ("Dense", {"units": 3, "activation": "leaky_relu"}, ROW),
]
MERGES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "Concatenate")


def identity(case: Case) -> str:
    return f"{case[0]}-{case[1]}"[:60]


def keras_layer(kind: str, settings: dict[str, Any]) -> Any:
    import qkeras
    import tf_keras

    return getattr(qkeras if kind.startswith("Q") else tf_keras.layers, kind)(**settings)


def model_of(body: Callable[[Any], Any], *shapes: tuple[int, ...]) -> Any:
    """`body` of one input for each shape, all cut from the model's only one; with random weights in [-1, 1]."""
    import tf_keras
    from tf_keras import layers

    sizes = [int(np.prod(shape)) for shape in shapes]
    inputs = tf_keras.Input((1, sum(sizes), 1) if len(shapes) > 1 else shapes[0])
    parts = [inputs]
    if len(shapes) > 1:
        ends = np.cumsum([0, *sizes])
        parts = [
            layers.Reshape(shape)(layers.Cropping2D(((0, 0), (int(start), int(ends[-1] - start - size))))(inputs))
            for shape, start, size in zip(shapes, ends, sizes, strict=False)
        ]
    model = tf_keras.Model(inputs, body(parts if len(shapes) > 1 else parts[0]))
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if "iteration" not in variable.name:  # a counter of some layers, which is an integer
            lowest = 0.05 if "variance" in variable.name else -1
            variable.assign(rng.uniform(lowest, 1, variable.shape))
    return model


def assert_rebuilt(path: Path, model: Any) -> None:
    """The Keras model made of the file's checked values computes the very bits that `model`, saved in it, does."""
    assert_equal_outputs(read_keras_model(path), model)


def check(model: Any, folder: Path) -> SourceGraph:
    """Compare the nodes of both forms of the saved model with the model itself."""
    sources = []
    for form in ("h5", "keras"):
        model.save(folder / f"model.{form}")
        sources.append(read_source(folder / f"model.{form}"))
        assert_rebuilt(folder / f"model.{form}", model)
    assert [type(node) for node in sources[0].nodes] == [type(node) for node in sources[1].nodes]
    x = np.random.default_rng(2).normal(0, 2, (3, *sources[0].nodes[0].shape)).astype(np.float32)
    expected = model(x, training=False).numpy()
    for source in sources:
        found = dict(run_graph(source, x.astype(np.float64), range(len(source.nodes))))[source.outputs[0]]
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert sources[0].table[-1].shape == expected.shape[1:]
    counters = sum("iteration" in variable.name for variable in model.weights)
    assert sum(row.parameters for row in sources[0].table) == model.count_params() - counters
    return sources[0]


@pytest.mark.parametrize("case", QUANTIZED, ids=identity)
def test_layer(case: Case, tmp_path: Path) -> None:
    kind, settings, shape = case
    check(model_of(keras_layer(kind, settings), shape), tmp_path)


@pytest.mark.parametrize("text", QUANTIZERS)
def test_activation_quantizer(text: str, tmp_path: Path) -> None:
    """As a text, as an object, and as the activation of another layer."""
    import qkeras
    from tf_keras import layers

    built = qkeras.get_quantizer(text)
    check(model_of(qkeras.QActivation(text), ROW), tmp_path)
    if "is_quantized_clip" not in text:  # which objects do not keep
        check(model_of(qkeras.QActivation(built), ROW), tmp_path)
        check(model_of(layers.Activation(built), ROW), tmp_path)
        conv = {"filters": 2, "kernel_size": 1, "use_bias": False, "kernel_quantizer": "binary(alpha=1)"}
        check(model_of(lambda x: qkeras.QConv2D(**conv, activation=text)(layers.ReLU()(x)), (3, 3, 1)), tmp_path)


@pytest.mark.parametrize("case", FLOAT, ids=identity)
def test_layer_with_floating_point_weights(case: Case, tmp_path: Path) -> None:
    kind, settings, shape = case
    model = model_of(keras_layer(kind, settings), shape)
    for form in ("h5", "keras"):
        model.save(tmp_path / f"model.{form}")
        assert_rebuilt(tmp_path / f"model.{form}", model)
        _, _, rows = list_layers(tmp_path / f"model.{form}")
        assert rows[-1].shape == model.output_shape[1:]
        assert rows[-1].parameters == model.count_params()
        assert rows[-1].problem == ""
        assert rows[-1].floating.startswith("floating-point weights; ")


@pytest.mark.parametrize("kind", MERGES)
def test_merge(kind: str, tmp_path: Path) -> None:
    shapes = (IMAGE, IMAGE) if kind == "Subtract" else (IMAGE, IMAGE, IMAGE)
    check(model_of(keras_layer(kind, {}), *shapes), tmp_path)


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2])
def test_concatenate_axes(axis: int, tmp_path: Path) -> None:
    shapes = {1: [(3, 5, 4), (1, 5, 4)], 2: [(3, 5, 4), (3, 2, 4)], 3: [(3, 5, 4), (3, 5, 1)]}
    check(model_of(keras_layer("Concatenate", {"axis": axis}), *shapes[axis % 4]), tmp_path)


@pytest.mark.parametrize(
    "shapes",
    [
        [(5, 6, 4), (1, 1, 4)],  # a squeeze-and-excitation gate
        [(1, 6, 4), (5, 1, 4)],
        [(4,), (5, 6, 4)],
        [(6, 4), (5, 6, 4)],
        [(5, 4), (1, 4)],
        [(4,), (5, 4), (5, 4)],
    ],
)
def test_branches_of_size_1_are_repeated(shapes: list[tuple[int, ...]], tmp_path: Path) -> None:
    check(model_of(keras_layer("Multiply", {}), *shapes), tmp_path)


def test_every_layer_is_here() -> None:
    tried = {kind for kind, _, _ in (*QUANTIZED, *FLOAT)} | {*MERGES, "InputLayer"}
    of_keras_3 = {kind for kind in supported_kinds() if ">" in kind}  # tests/frontend/test_keras_3.py
    assert tried == set(supported_kinds()) - of_keras_3
