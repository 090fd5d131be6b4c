"""Models as Keras and QKeras of other versions write them, or with settings given in another form that means the same.

Every row once was refused, or called damaged. Each converts now, and equals what Keras predicts on raw values.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.frontend import parse_model
from stq_deploy.pipeline import convert_model
from tests.helpers.command_line import invoke
from tests.helpers.regressions.keras_models import (
    check_equals_keras,
    grid,
    keras_predictions,
    network_predictions,
    saved,
)

pytestmark = pytest.mark.keras

BITS = "quantized_bits(4,0,alpha=1)"
SHAPE = (6, 6, 2)


def model(
    *, bn_scale: Any = True, dense_activation: Any = None, activation: Any = None, functional: bool = False
) -> Any:
    """input, 8 bits, convolution, batch normalization, 4 bits, dense layer."""
    import qkeras
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(1)
    parts = [
        qkeras.QActivation("quantized_bits(8,0,alpha=1)"),
        qkeras.QConv2D(4, 3, kernel_quantizer=BITS, bias_quantizer="quantized_bits(8,2,alpha=1)"),
        layers.BatchNormalization(scale=bn_scale, epsilon=0.25),
        *([qkeras.QActivation(activation)] if activation is not None else []),
        qkeras.QActivation(qkeras.quantized_relu(4, 1)),
        layers.Flatten(),
        qkeras.QDense(5, kernel_quantizer=BITS, activation=dense_activation),
        qkeras.QActivation("quantized_bits(8,3,alpha=1)"),
    ]
    if not functional:
        made = tf_keras.Sequential([layers.Input(SHAPE), *parts])
    else:
        x = inputs = layers.Input(SHAPE)
        for part in parts:
            x = part(x)
        made = tf_keras.Model(inputs, x)
    norm = next(layer for layer in made.layers if isinstance(layer, layers.BatchNormalization))
    gamma = [np.array([0.5, 1, 2, 0.25])] if bn_scale else []
    norm.set_weights([*gamma, np.array([0.25, 0, -0.5, 1]), np.array([0, 0.5, 0.25, -0.125]), np.full(4, 0.75)])
    return made


def edit_h5(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Apply `change` to every object of the configuration of an .h5 file, the innermost first."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        _walk(config, change)
        file.attrs["model_config"] = json.dumps(config)


def _walk(node: Any, change: Callable[[dict[str, Any]], None]) -> None:
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _walk(value, change)
    if isinstance(node, dict):
        change(node)


def with_settings(kind: str, **settings: Any) -> Callable[[dict[str, Any]], None]:
    def change(node: dict[str, Any]) -> None:
        if node.get("class_name") == kind:
            node["config"] |= settings

    return change


AS_BEFORE = {
    "quantizers of QKeras since 2025": with_settings("quantized_bits", post_training_scale=None),
    "other quantizer parameters": with_settings(
        "quantized_bits", elements_per_scale=None, min_po2_exponent=None, max_po2_exponent=None
    ),
    "fast inference": with_settings("quantized_relu", enable_fast_inference=False),
    "masks": with_settings("QConv2D", mask=None),
    "a flag as a float": with_settings("BatchNormalization", scale=1.0, center=1),
    "flags left open": with_settings("BatchNormalization", renorm=None),
    "a policy as an object": with_settings(
        "QDense", dtype={"module": "keras.mixed_precision", "class_name": "Policy", "config": {"name": "float32"}}
    ),
}


@pytest.mark.parametrize("row", AS_BEFORE)
def test_settings_that_mean_as_before(row: str, tmp_path: Path) -> None:
    made, x = model(), grid(SHAPE)
    path = saved(made, tmp_path / "m.h5")
    edit_h5(path, AS_BEFORE[row])
    np.testing.assert_array_equal(network_predictions(convert_model(path), x), keras_predictions(made, x))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("quantized_bits", {"post_training_scale": [0.5]}),
        ("quantized_bits", {"elements_per_scale": 2}),
        ("quantized_relu", {"enable_fast_inference": "yes"}),
        ("QConv2D", {"mask": [[1.0, 0.0]]}),
        ("BatchNormalization", {"scale": "yes"}),
        ("BatchNormalization", {"renorm": 1}),
        ("QDense", {"dtype": "float16"}),
        ("QDense", {"dtype": {"class_name": "Policy", "config": {"name": "bfloat16"}}}),
    ],
)
def test_any_other_value_is_refused_by_name(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    path = saved(model(), tmp_path / "m.h5")
    edit_h5(path, with_settings(kind, **settings))
    with pytest.raises(StqError) as refused:
        parse_model(path)
    assert next(iter(settings)) in refused.value.what
    assert "damaged" not in str(refused.value)


@pytest.mark.parametrize("scale", [1, 2, 1.0, 0, None])
@pytest.mark.parametrize("form", ["h5", "keras"])
def test_a_flag_is_taken_by_its_truth(scale: Any, form: str, tmp_path: Path) -> None:
    """`BatchNormalization(scale=1)` is in every block of MLPerf Tiny's streaming wake word."""
    check_equals_keras(model(bn_scale=scale), tmp_path / f"m.{form}", grid(SHAPE))


def _layer(name: str, **settings: Any) -> Callable[[], Any]:
    def make() -> Any:
        from tf_keras import layers

        return getattr(layers, name)(**settings)

    return make


def _nested() -> Any:
    from tf_keras import layers

    return layers.Activation(layers.ReLU())


LAYERS = {
    "ReLU": _layer("ReLU"),
    "ReLU to 2": _layer("ReLU", max_value=2.0),
    "ReLU, leaky to 2": _layer("ReLU", negative_slope=0.25, max_value=2.0),
    "LeakyReLU": _layer("LeakyReLU", alpha=0.25),
    "Activation": _layer("Activation", activation="relu6"),
    "Activation in one": _nested,
    "linear": _layer("Activation", activation="linear"),
}


@pytest.mark.parametrize("place", ["dense_activation", "activation"])
@pytest.mark.parametrize("row", LAYERS)
def test_a_layer_as_an_activation(row: str, place: str, tmp_path: Path) -> None:
    for form in ("h5", "keras"):
        check_equals_keras(model(**{place: LAYERS[row]()}), tmp_path / f"m.{form}", grid(SHAPE))


def test_a_quantizing_layer_as_an_activation(tmp_path: Path) -> None:
    import qkeras

    made = model(dense_activation=qkeras.QActivation("quantized_relu(6,2)"))
    check_equals_keras(made, tmp_path / "m.h5", grid(SHAPE))


@pytest.mark.parametrize("name", ["PReLU", "BatchNormalization", "Dense"])
def test_a_layer_that_cannot_be_an_activation(name: str, tmp_path: Path) -> None:
    """With weights, or without an integer form: a clear refusal."""
    path = saved(model(dense_activation=LAYERS["ReLU"]()), tmp_path / "m.h5")
    edit_h5(path, lambda node: node.update(class_name=name) if node.get("class_name") == "ReLU" else None)
    with pytest.raises(StqError) as refused:
        parse_model(path)
    assert name in str(refused.value) and "activation" in refused.value.what


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_mixed_policy_has_float32_variables(policy: str, tmp_path: Path) -> None:
    """Keras computes in 16 bits there; this network's numbers are short enough for both."""
    import tf_keras
    from tf_keras import layers

    x = grid((6,), seed=3) * 8  # whole numbers of 1/16: 16 bits hold every sum below
    x = np.round(x)
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        tf_keras.utils.set_random_seed(2)
        made = tf_keras.Sequential([layers.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(3)])
    finally:
        tf_keras.mixed_precision.set_global_policy(before)
    for layer in made.layers:
        kernel, bias = layer.get_weights()
        layer.set_weights([np.round(kernel * 2), np.round(bias)])
    path = saved(made, tmp_path / "m.h5")
    parsed = parse_model(path, post_training=True)
    assert [row.half_precision for row in parsed.table] == ["", policy, policy]
    kernels = [kernel.values for kernel in parsed.kernels.values()]
    hidden = np.maximum(x @ kernels[0], 0)
    np.testing.assert_array_equal(hidden @ kernels[1], keras_predictions(made, x))


@pytest.mark.parametrize("policy", ["mixed_float16", "float32"])
def test_commands_say_where_keras_computes_in_16_bits(policy: str, tmp_path: Path) -> None:
    """Where a figure is of the float model: it is computed in float32 here, and Keras's own may differ."""
    import tf_keras
    from tf_keras import layers

    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy(policy)
    try:
        made = tf_keras.Sequential([layers.Input((2, 2, 1)), layers.Flatten(), layers.Dense(3)])
    finally:
        tf_keras.mixed_precision.set_global_policy(before)
    model, pictures = saved(made, tmp_path / "m.h5"), tmp_path / "x.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (8, 2, 2, 1)).astype(np.uint8)
    save_samples(SampleSet(pixels, np.zeros(8, np.int64)), pictures)
    quantized = ("--post-training", "int8", "--calibrate", pictures)
    for command in (
        ["evaluate", "--model", model, "--samples", pictures, "--executor", "float"],
        ["evaluate", "--model", model, "--samples", pictures, "--executor", "numpy", *quantized],
        ["verify", "--model", model, "--executors", "numpy,host", *quantized],
    ):
        result = invoke(*command)
        assert result.exit_code == 0, result.stderr
        said = " ".join(result.stdout.split())
        assert ("the policy mixed_float16: Keras computes them in 16 bits" in said) == (policy != "float32"), command


def test_verify_reads_outputs_as_it_is_asked(tmp_path: Path) -> None:
    """As `evaluate` does; what the output cannot be is an error before anything is started."""
    path = saved(model(dense_activation=LAYERS["ReLU"]()), tmp_path / "m.h5")
    usual = ("verify", "--model", path, "--executors", "numpy,host")
    result = invoke(*usual, "--task", "regression")
    assert result.exit_code == 0, result.stderr
    assert "Outputs are read as regression" in " ".join(result.stdout.split())
    refused = invoke(*usual, "--task", "reconstruction")
    assert refused.exit_code == 1
    assert "cannot be read as reconstruction" in refused.stderr


# Archives of Keras 2


def rewrite(source: Path, target: Path, *, module: str, version: str, double: bool | None) -> Path:
    """A .keras file as an older Keras 2 writes it.

    Args:
        double: None, or the layers' groups are named `_layer_checkpoint_dependencies`, and those with weights counted
            twice (Keras 2.13) or once (2.14).
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        config = old.read("config.json").decode()
        config = config.replace('"tf_keras.src.', f'"{module}.').replace('"tf_keras', '"keras')
        new.writestr("config.json", config)
        new.writestr("metadata.json", json.dumps({"keras_version": version, "date_saved": "2024-01-01@00:00:00"}))
        weights = old.read("model.weights.h5")
        new.writestr("model.weights.h5", weights if double is None else _older_weights(weights, double))
    return target


def _older_weights(weights: bytes, double: bool) -> bytes:
    content = io.BytesIO()
    with h5py.File(io.BytesIO(weights), "r") as old, h5py.File(content, "w") as new:
        for name, layer in old["layers"].items():
            base, _, number = name.rpartition("_") if name[-1].isdigit() and "_" in name else (name, "", "0")
            if not number.isdigit():  # conv2d
                base, number = name, "0"
            place = int(number) * (2 if double and len(layer["vars"]) else 1)
            old.copy(
                layer,
                new,
                f"_layer_checkpoint_dependencies/{base}_{place}" if place else f"_layer_checkpoint_dependencies/{base}",
            )
    return content.getvalue()


@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize(
    ("module", "version", "double"),
    [
        ("keras", "2.12.0", None),
        ("keras.src", "2.13.1", True),
        ("keras.src", "2.14.0", False),
        ("keras.src", "2.15.0", None),
    ],
)
def test_archives_of_keras_2(functional: bool, module: str, version: str, double: bool | None, tmp_path: Path) -> None:
    made, x = model(functional=functional), grid(SHAPE)
    path = rewrite(
        saved(made, tmp_path / "now.keras"), tmp_path / "then.keras", module=module, version=version, double=double
    )
    np.testing.assert_array_equal(network_predictions(convert_model(path), x), keras_predictions(made, x))
