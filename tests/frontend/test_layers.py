"""Every layer's settings against the allow-list: one clear error with layer, type, setting and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import parse_model
from stq_deploy.frontend import source as s
from stq_deploy.frontend.errors import shown
from tests.helpers.model_files import BITS4, TERNARY, ModelDraft, random, tiny_model


def refused(draft: ModelDraft, tmp_path: Path) -> StqError:
    with pytest.raises(StqError) as caught:
        parse_model(draft.save_h5(tmp_path / "m.h5"))
    assert caught.value.next
    return caught.value


@pytest.mark.parametrize(
    ("layer", "setting", "value"),
    [
        ("conv", "dtype", "float16"),
        ("conv", "filters", 0),
        ("conv", "filters", True),
        ("conv", "filters", 10**9),
        ("conv", "kernel_size", [3]),
        ("conv", "kernel_size", [3, -1]),
        ("conv", "kernel_size", "3x3"),
        ("conv", "strides", [0, 1]),
        ("conv", "padding", "causal"),
        ("conv", "padding", None),
        ("conv", "data_format", "channels_first"),
        ("conv", "groups", 3),
        ("conv", "use_bias", "yes"),
        ("conv", "kernel_quantizer", None),
        ("conv", "kernel_quantizer", "quantized_relu(4,2)"),
        ("conv", "kernel_quantizer", "quantized_ulaw(4)"),
        ("conv", "bias_quantizer", "bernoulli()"),
        ("conv", "activation", "log_softmax"),
        ("conv", "activation", {"class_name": "function", "config": "x"}),
        ("conv", "surprise", 1),
        ("bn", "axis", [1]),
        ("bn", "axis", None),
        ("bn", "epsilon", -1e-7),
        ("bn", "epsilon", float("nan")),
        ("bn", "epsilon", 10**300),
        ("bn", "renorm", True),
        ("relu", "activation", "quantized_relu(99,2)"),
        ("relu", "activation", "quantized_bits(8,0,alpha='auto')"),
        ("relu", "activation", "hard_swish"),
        ("relu", "activation", "log_softmax"),
        ("pool", "pool_size", [0, 2]),
        ("pool", "padding", "full"),
        ("flatten", "data_format", "channels_first"),
        ("fc", "units", None),
        ("image", "batch_input_shape", [None, None, 5, 2]),
        ("image", "batch_input_shape", [None]),
        ("image", "sparse", True),
    ],
)
def test_unsupported_setting_is_named(layer: str, setting: str, value: Any, tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings(layer)[setting] = value
    error = refused(draft, tmp_path)
    assert f"layer {layer!r}" in error.where
    assert draft.entry(layer)["class_name"] in error.where
    words = {"batch_input_shape": "input shape", "filters": "filters"}
    assert words.get(setting, setting) in error.what


def test_a_number_that_no_float_holds_is_counted(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("bn")["epsilon"] = 10**400
    assert "it holds a whole number of 401 digits" in refused(draft, tmp_path).what


def test_values_of_any_size_and_depth_are_shown_in_one_line(tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    for value in (deep, [0] * 10**6, {str(i): "x" * 1000 for i in range(1000)}, "\n\x1b\u202e" * 10**5, 10**4000):
        text = shown(value)
        assert len(text) <= 123
        assert text.isascii()
        assert text.isprintable()
    draft = tiny_model()
    draft.settings("conv")["filters"] = [[[[0] * 10**5] * 8]]
    assert len(refused(draft, tmp_path).what) < 300


@pytest.mark.parametrize(
    ("kind", "reason", "hint"),
    [
        ("Lambda", "Python code", "ordinary layers"),
        ("TFOpLambda", "TensorFlow function", "Keras layer such as Add"),
        ("LSTM", "a state from step to step", "causal"),
        ("QGRU", "a state from step to step", "causal"),
        ("Conv2DTranspose", "no transposed convolution", "UpSampling2D followed by QConv2D"),
        ("Conv3D", "two axes", "slices"),
        ("LayerNormalization", "for every sample", "BatchNormalization"),
        ("Embedding", "a word's number", "one-hot"),
        ("MultiHeadAttention", "as matrices", "convolutions"),
        ("Rescaling", "as they are stored", "before training"),
        ("Evil", "", "build the model from: Activation, ActivityRegularization"),
    ],
)
def test_unsupported_layer_says_why_and_what_to_use(kind: str, reason: str, hint: str, tmp_path: Path) -> None:
    draft = tiny_model()
    draft.entry("relu")["class_name"] = kind
    draft.settings("relu")["function"] = {"class_name": "__lambda__", "config": {"value": "gASV"}}
    error = refused(draft, tmp_path)
    assert error.what.startswith("this layer type is not supported")
    assert reason in error.what
    assert f"layer 'relu' ({kind})" in error.where
    assert hint in error.next


@pytest.mark.parametrize(
    "value",
    [
        {"module": "os", "class_name": "Zeros", "config": {}},
        {"module": "keras.initializers", "class_name": "system", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"},
        {"module": "os", "class_name": "function", "config": "smooth_tanh", "registered_name": "function"},
        {"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float32"}},
        {
            "module": "keras.initializers",
            "class_name": "Zeros",
            "config": {},
            "registered_name": "evil>Zeros",
        },
        {"class_name": "__lambda__", "config": {"value": "gASV"}},
        {"class_name": "Zeros", "config": {"seed": {"module": "os", "class_name": "Ones", "config": {}}}},
        {"class_name": "QInitializer", "config": {"quantizer": "__import__('os').system('x')"}},
        {"class_name": "Zeros", "config": [1]},
        {"class_name": "Zeros", "config": {}, "build_hook": 1},
        {"no": "class"},
        "__import__('os').system('x')",
        [[[[[[[[1]]]]]]]],
        [0] * 70_000,
    ],
)
def test_objects_that_act_in_training_only_are_checked_too(value: Any, tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("conv")["kernel_initializer"] = value
    error = refused(draft, tmp_path)
    assert "kernel_initializer" in error.what
    assert "layer 'conv'" in error.where


def test_classes_of_other_modules_are_refused(tmp_path: Path) -> None:
    for key, value in (("module", "os"), ("registered_name", "evil>QConv2D"), ("hook", "x")):
        draft = tiny_model()
        draft.entry("conv")[key] = value
        assert "QConv2D" in refused(draft, tmp_path).what
    draft = tiny_model()
    config = draft.config() | {"module": "evil"}
    with pytest.raises(StqError, match="module 'evil'"):
        parse_model(draft.save_h5(tmp_path / "m.h5", config))


@pytest.mark.parametrize(
    "built",
    [
        {"input_shape": [None, 6, 5, 10**6]},
        {"input_shape": [None, 6, 5, True]},
        {"input_shape": [None, 6, 5]},
        {"input_shape": [None, 10**9, 5, 2]},
        {"input_shape": [10**9, 6, 5, 2]},
        {"input_shape": [None, -6, 5, 2]},
        {"input_shape": [[None, 6, 5, 2], [None, 6, 5, 2]]},
        {"input_shape": "6x5x2"},
        {"input_shape": [None, 6, 5, 2], "hook": 1},
        {},
        [],
        7,
    ],
)
def test_what_keras_would_build_a_layer_for(built: Any, tmp_path: Path) -> None:
    """Before it applies the layer: it would make weights for any shape."""
    draft = tiny_model()
    draft.entry("conv")["build_config"] = built
    error = refused(draft, tmp_path)
    assert "it was built for" in error.what
    assert "layer 'conv'" in error.where


@pytest.mark.parametrize("built", [None, {"input_shape": None}, {"input_shape": [None, 6, 5, 2]}])
def test_layers_built_for_what_they_read(built: Any, tmp_path: Path) -> None:
    draft = tiny_model()
    draft.entry("conv")["build_config"] = built
    parse_model(draft.save_h5(tmp_path / "m.h5"))


def test_layers_without_weights_may_be_built_for_another_of_the_shapes_they_read(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.entry("relu")["build_config"] = {"input_shape": [None, 6, 5, 7]}
    draft.add("Add", "sum", "relu", "relu")
    draft.entry("sum")["build_config"] = {"input_shape": [[None, 6, 5, 4], [None, 6, 5, 4]]}
    parse_model(draft.save_h5(tmp_path / "m.h5"))
    for built in ({"input_shape": "6x5"}, {"shape": [None, 2]}, 7, []):
        draft.entry("relu")["build_config"] = built
        assert "it was built for" in refused(draft, tmp_path).what


def test_functions_of_qkeras_pass_as_keras_writes_them(tmp_path: Path) -> None:
    draft = tiny_model()
    function = {"module": "builtins", "class_name": "function", "config": "smooth_tanh", "registered_name": "function"}
    draft.settings("conv")["activation"] = function | {"shared_object_id": 7}
    parsed = parse_model(draft.save_h5(tmp_path / "m.h5"))
    assert [type(node) for node in parsed.nodes][3:5] == [s.AffineNode, s.ClipNode]


def test_harmless_training_objects_pass(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("conv")["kernel_initializer"] = {
        "module": "qkeras.qlayers",
        "class_name": "QInitializer",
        "registered_name": "QInitializer",
        "config": {
            "initializer": {"class_name": "VarianceScaling", "config": {"mode": "fan_in", "seed": None}},
            "use_scale": True,
            "quantizer": "quantized_bits(4,0,1)",
        },
    }
    draft.settings("conv")["kernel_constraint"] = {
        "class_name": "Clip",
        "config": {"min_value": -1, "max_value": 1},
    }
    draft.settings("fc")["kernel_initializer"] = "he_normal"
    parse_model(draft.save_h5(tmp_path / "m.h5"))


@pytest.mark.parametrize(
    ("kind", "settings", "shapes", "what"),
    [
        ("ZeroPadding2D", {"padding": -1}, [(4, 4, 2)], "padding=-1"),
        ("ZeroPadding2D", {"padding": [[1, 2, 3], [0, 0]]}, [(4, 4, 2)], "padding="),
        ("ZeroPadding1D", {"padding": [[1, 1], [1, 1]]}, [(4, 2)], "padding="),
        ("ZeroPadding1D", {"padding": 1}, [(4, 4, 2)], "instead of (length, channels)"),
        ("ZeroPadding2D", {"padding": 60_000}, [(4, 4, 2)], "would have shape"),
        ("Cropping2D", {"cropping": 2}, [(4, 4, 2)], "would have shape (0, 0, 2)"),
        ("Cropping2D", {"cropping": True}, [(4, 4, 2)], "cropping=True"),
        ("UpSampling2D", {"size": 2, "interpolation": "bilinear"}, [(4, 4, 2)], "interpolation='bilinear'"),
        ("UpSampling2D", {"size": [2, 0]}, [(4, 4, 2)], "size=[2, 0]"),
        ("UpSampling1D", {"size": 1 << 20}, [(4, 2)], "size=1048576"),
        ("GlobalAveragePooling2D", {"data_format": "channels_first"}, [(4, 4, 2)], "data_format="),
        ("GlobalMaxPooling1D", {"keepdims": "yes"}, [(4, 2)], "keepdims='yes'"),
        ("GlobalMaxPooling2D", {}, [(4, 2)], "instead of (height, width, channels)"),
        ("Permute", {"dims": [2, 1]}, [(4, 2)], "dims=[2, 1] moves the elements of (4, 2)"),
        ("Permute", {"dims": [1, 1]}, [(4, 2)], "dims=[1, 1] are not the axes"),
        ("Permute", {"dims": [0, 1]}, [(4, 2)], "dims=[0, 1]"),
        ("Reshape", {"target_shape": [3, -1]}, [(4, 2)], "cannot be reshaped"),
        ("Reshape", {"target_shape": [-1, -1]}, [(4, 2)], "cannot be reshaped"),
        ("Reshape", {"target_shape": [0, 8]}, [(4, 2)], "cannot be reshaped"),
        ("Reshape", {"target_shape": [-2]}, [(4, 2)], "target_shape=[-2]"),
        ("Softmax", {"axis": 1}, [(4, 2)], "axis=1"),
        ("ReLU", {"threshold": -0.5}, [(4,)], "threshold=-0.5"),
        ("ReLU", {"max_value": "6"}, [(4,)], "max_value='6'"),
        ("LeakyReLU", {"alpha": -0.1}, [(4,)], "alpha=-0.1"),
        ("LeakyReLU", {"slope": 1}, [(4,)], "'slope'=1 is unknown"),
        ("Add", {}, [(4,)], "fewer than two inputs"),
        ("Add", {}, [(4, 4, 2), (4, 4, 1)], "different shapes"),
        ("Add", {}, [(4, 4, 2), (3, 1, 2)], "different shapes"),
        ("Add", {}, [(2, 1, 1, 2), (2, 3, 3, 2)], "different shapes"),
        ("Subtract", {}, [(4,), (4,), (4,)], "3 inputs instead of 2"),
        ("Concatenate", {"axis": 0}, [(4,), (4,)], "axis=0"),
        ("Concatenate", {"axis": 3}, [(4, 2), (4, 2)], "axis=3"),
        ("Concatenate", {"axis": -1}, [(4, 2), (5, 2)], "do not fit together"),
        ("Concatenate", {"axis": -1}, [(4, 2), (8,)], "do not fit together"),
        ("Flatten", {}, [(4,), (4,)], "2 inputs instead of 1"),
    ],
)
def test_refusals_of_layers_without_weights(
    kind: str, settings: dict[str, Any], shapes: list[tuple[int, ...]], what: str, tmp_path: Path
) -> None:
    draft = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, 1, 1])
    for i, shape in enumerate(shapes):
        draft.add("UpSampling1D", f"long{i}", "x", size=int(np.prod(shape)))
        draft.add("Reshape", f"branch{i}", f"long{i}", target_shape=list(shape))
    draft.add(kind, "layer", *(f"branch{i}" for i in range(len(shapes))), **settings)
    error = refused(draft, tmp_path)
    assert f"layer 'layer' ({kind})" in error.where
    assert what in error.what


def test_negative_variance(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.arrays["bn"]["moving_variance"][2] = -1
    assert "moving_variance is negative" in refused(draft, tmp_path).what


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("pool")["pool_size"] = [7, 7]
    assert "its output would have shape" in refused(draft, tmp_path).what
    draft = tiny_model()
    draft.add("Add", "sum", "relu", "pool")
    assert "different shapes" in refused(draft, tmp_path).what


def test_separable_depthwise_merge_reshape_dropout(tmp_path: Path) -> None:
    """What the tiny model lacks: nodes, shapes, MACs and parameters of the other layers."""
    draft = ModelDraft().add("InputLayer", "x", batch_input_shape=[None, 7, 6, 3])
    window = {
        "kernel_size": [3, 2],
        "strides": [2, 2],
        "padding": "same",
        "data_format": "channels_last",
        "dilation_rate": 1,
    }
    draft.add("QActivation", "q", "x", activation="quantized_bits(8,0,1)")
    draft.add(
        "QDepthwiseConv2D",
        "dw",
        "q",
        **window,
        depth_multiplier=2,
        use_bias=True,
        activation=None,
        depthwise_quantizer=TERNARY,
        bias_quantizer="quantized_bits(8,0,1)",
        arrays={"depthwise_kernel": random(3, 2, 3, 2), "bias": random(6)},
    )
    draft.add("QActivation", "r", "dw", activation="quantized_relu(4,2)")
    draft.add("Dropout", "drop", "r", rate=0.5, noise_shape=None, seed=None)
    draft.add(
        "QSeparableConv2D",
        "sep",
        "drop",
        filters=5,
        **window | {"strides": [1, 1]},
        depth_multiplier=1,
        use_bias=False,
        activation="quantized_relu(4,2)",
        depthwise_quantizer=TERNARY,
        pointwise_quantizer=BITS4,
        bias_quantizer=None,
        arrays={"depthwise_kernel": random(3, 2, 6, 1), "pointwise_kernel": random(1, 1, 6, 5)},
    )
    draft.add("Reshape", "flat", "sep", target_shape=[-1])
    parsed = parse_model(draft.save_h5(tmp_path / "m.h5"))
    kinds = [type(node) for node in parsed.nodes]
    assert kinds == [
        s.InputNode,
        s.QuantizeNode,
        s.DepthwiseNode,
        s.BiasNode,
        s.QuantizeNode,
        s.PassNode,
        s.DepthwiseNode,
        s.ConvolveNode,
        s.QuantizeNode,
        s.ReshapeNode,
    ]
    rows = {row.name: row for row in parsed.table}
    assert rows["dw"].shape == (4, 3, 6)
    assert (rows["dw"].macs, rows["dw"].parameters) == (12 * 36, 42)
    assert rows["sep"].shape == (4, 3, 5)
    assert (rows["sep"].macs, rows["sep"].parameters) == (12 * (36 + 30), 66)
    assert rows["flat"].shape == (60,)
    assert np.array_equal(parsed.kernels[6].values, draft.arrays["sep"]["depthwise_kernel"])
