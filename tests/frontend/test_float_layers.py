"""Floating-point weights: such a model may be run once all of it is checked, and is never converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from stq_deploy.cli import cli
from stq_deploy.common.errors import StqError
from stq_deploy.frontend import check_model, list_layers, parse_model
from tests.helpers.model_files import WINDOW, ModelDraft, random, tiny_model


def float_model() -> ModelDraft:
    """input 6x5x2, every weighted layer of Keras's own, with and without bias and activation."""
    draft = ModelDraft().add("InputLayer", "image", batch_input_shape=[None, 6, 5, 2], sparse=False, ragged=False)
    draft.add(
        "Conv2D", "conv", "image", filters=4, kernel_size=[3, 3], **WINDOW, activation="linear", use_bias=False,
        kernel_initializer={"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": None}},
        arrays={"kernel": random(3, 3, 2, 4)},
    )  # fmt: skip
    draft.add("ReLU", "relu", "conv", max_value=None, negative_slope=0.0, threshold=0.0)
    draft.add(
        "DepthwiseConv2D", "dw", "relu", kernel_size=[3, 3], **WINDOW, depth_multiplier=2, activation="sigmoid",
        use_bias=True, arrays={"depthwise_kernel": random(3, 3, 4, 2), "bias": random(8)},
    )  # fmt: skip
    draft.add(
        "SeparableConv2D", "sep", "dw", filters=5, kernel_size=[3, 3], **WINDOW, depth_multiplier=1,
        activation="relu", use_bias=False,
        arrays={"depthwise_kernel": random(3, 3, 8, 1), "pointwise_kernel": random(1, 1, 8, 5)},
    )  # fmt: skip
    draft.add("Flatten", "flatten", "sep", data_format="channels_last")
    draft.add(
        "Dense", "fc", "flatten", units=3, activation="linear", use_bias=True,
        arrays={"kernel": random(150, 3), "bias": random(3)},
    )  # fmt: skip
    return draft.add("Activation", "softmax", "fc", activation="softmax")


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_it_may_be_run_but_not_converted(form: str, tmp_path: Path) -> None:
    draft, path = float_model(), tmp_path / f"m.{form}"
    draft.save_h5(path) if form == "h5" else draft.save_keras(path)
    checked = check_model(path)
    assert (checked.name, checked.input_shape, checked.file["format"]) == ("draft", (6, 5, 2), form)
    with pytest.raises(StqError) as refused:
        parse_model(path)
    assert checked.float_error is not None
    for error in (checked.float_error, refused.value):
        assert "layer 'conv' (Conv2D)" in error.where
        assert error.what == "floating-point weights"
        assert "use QConv2D with kernel_quantizer=\"ternary(alpha='auto_po2')\"" in error.next
    assert str(path) in refused.value.where


def test_a_quantized_model_has_no_obstacle(tmp_path: Path) -> None:
    assert check_model(tiny_model().save_h5(tmp_path / "m.h5")).float_error is None


def test_every_layer_is_listed_with_its_size_and_what_to_use(tmp_path: Path) -> None:
    _, _, rows = list_layers(float_model().save_h5(tmp_path / "m.h5"))
    found = {row.name: row for row in rows}
    assert [name for name, row in found.items() if row.floating] == ["conv", "dw", "sep", "fc"]
    assert not any(row.problem for row in rows)
    for name, kind, settings in (
        ("conv", "QConv2D", ["kernel_quantizer="]),
        ("dw", "QDepthwiseConv2D", ["depthwise_quantizer="]),
        ("sep", "QSeparableConv2D", ["depthwise_quantizer=", "pointwise_quantizer="]),
        ("fc", "QDense", ["kernel_quantizer="]),
    ):
        assert found[name].floating.startswith("floating-point weights; add --post-training int8 --calibrate ")
        assert f"or use {kind} with " in found[name].floating
        assert all(setting in found[name].floating for setting in settings)
    assert (found["dw"].shape, found["dw"].parameters, found["dw"].macs) == ((6, 5, 8), 80, 30 * 72)
    assert (found["sep"].shape, found["sep"].parameters, found["sep"].macs) == ((6, 5, 5), 112, 30 * 112)
    assert (found["fc"].shape, found["fc"].parameters, found["fc"].macs) == ((3,), 453, 450)


def test_inspect_shows_it_and_convert_refuses_it(tmp_path: Path) -> None:
    path = str(float_model().save_h5(tmp_path / "m.h5"))
    shown = CliRunner().invoke(cli, ["inspect", path])
    assert shown.exit_code == 0
    assert shown.stdout.count("as int8") == 4 + 1
    assert "conv (Conv2D): floating-point weights; add --post-training int8" in shown.stdout
    verdict = "can be converted with --post-training: 8 of 8 layers are supported, 4 of them as int8"
    assert shown.stdout.splitlines()[-1] == verdict
    answer = json.loads(CliRunner().invoke(cli, ["inspect", path, "--json"]).stdout)
    assert (answer["convertible_layers"], answer["floating_point_layers"]) == (8, 4)
    refused = CliRunner().invoke(cli, ["convert", path, "-o", str(tmp_path / "m.stq")])
    assert refused.exit_code == 1
    assert "layer 'conv' (Conv2D): floating-point weights" in refused.stderr
    assert not (tmp_path / "m.stq").exists()


def test_one_layer_without_a_quantizer_is_enough(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("fc")["kernel_quantizer"] = None
    float_error = check_model(draft.save_h5(tmp_path / "m.h5")).float_error
    assert float_error is not None
    assert "layer 'fc' (QDense)" in float_error.where
    assert float_error.what == "kernel_quantizer is None: floating-point weights"
    assert "set kernel_quantizer=" in float_error.next


@pytest.mark.parametrize(
    ("layer", "setting", "value"),
    [
        ("conv", "kernel_quantizer", "ternary()"),  # Keras's own layer has no such setting
        ("fc", "bias_quantizer", None),
        ("conv", "activation", "log_softmax"),
        ("conv", "activation", {"class_name": "function", "config": "x"}),
        ("conv", "activation", {"module": "os", "class_name": "system", "config": {}}),
        ("conv", "kernel_initializer", {"module": "os", "class_name": "system", "config": {}}),
        ("dw", "depthwise_constraint", {"class_name": "__lambda__", "config": {"value": "gASV"}}),
        ("sep", "data_format", "channels_first"),
        ("sep", "strides", [0, 1]),
        ("fc", "units", -3),
        ("fc", "dtype", "float16"),
        ("relu", "max_value", -6.0),
        ("relu", "negative_slope", -0.1),
        ("relu", "threshold", -1.0),
        ("relu", "surprise", 1),
    ],
)
def test_settings_off_the_list_are_refused_before_keras_sees_them(
    layer: str, setting: str, value: Any, tmp_path: Path
) -> None:
    draft = float_model()
    draft.settings(layer)[setting] = value
    with pytest.raises(StqError) as refused:
        check_model(draft.save_h5(tmp_path / "m.h5"))
    assert f"layer {layer!r}" in refused.value.where
    assert setting in refused.value.what


@pytest.mark.parametrize("kind", ["Lambda", "TFOpLambda", "Evil"])
def test_layers_off_the_list_are_refused_even_behind_floating_point_weights(kind: str, tmp_path: Path) -> None:
    draft = float_model()
    draft.entry("softmax")["class_name"] = kind
    with pytest.raises(StqError) as refused:
        check_model(draft.save_h5(tmp_path / "m.h5"))
    assert f"layer 'softmax' ({kind})" in refused.value.where


def test_classes_of_other_modules_are_refused(tmp_path: Path) -> None:
    for key, value in (("module", "os"), ("registered_name", "evil>Conv2D"), ("hook", "x")):
        draft = float_model()
        draft.entry("conv")[key] = value
        with pytest.raises(StqError, match="Conv2D"):
            check_model(draft.save_h5(tmp_path / "m.h5"))


@pytest.mark.parametrize("wrong", [random(3, 3, 2, 5), random(3, 3, 2, 4).astype(np.float64), np.full(4, np.nan)])
def test_arrays_are_checked(wrong: Any, tmp_path: Path) -> None:
    draft = float_model()
    draft.arrays["conv"]["kernel"] = wrong
    with pytest.raises(StqError, match="kernel"):
        check_model(draft.save_h5(tmp_path / "m.h5"))
