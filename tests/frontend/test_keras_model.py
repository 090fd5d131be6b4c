"""Keras models made of checked values: the very bits that Keras computes from the same file."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import check_model
from stq_deploy.frontend.keras_model import _classes, _parameters, build_keras_model, quantizer_object, read_keras_model
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.layers import LayerReader, handler_for, supported_kinds
from stq_deploy.frontend.quantizers import ANYTHING, PARAMETERS, Role, make_quantizer, read_quantizer
from stq_deploy.frontend.values import AcceptedValues
from stq_deploy.zoo.shipped import shipped_models
from tests.helpers.float_models import float_draft
from tests.helpers.frontend.nested_models import block, outer
from tests.helpers.keras_reference import assert_equal_outputs, load_with_keras, outputs_of
from tests.helpers.model_files import ModelDraft, tiny_model

pytestmark = pytest.mark.keras


def _kinds() -> dict[tuple[str, ...], str]:
    """Network, variant and scheme -> the first shipped model of that kind: others have the same layers."""
    kinds: dict[tuple[str, ...], str] = {}
    for name, model in shipped_models().items():
        config = model.record.config
        kinds.setdefault((config.network, config.variant, config.scheme), name)
    return kinds


@pytest.mark.parametrize("name", list(shipped_models()))
def test_shipped_models(name: str) -> None:
    """Under `tf.function` too, as the commands run them, once for each kind of layers."""
    import tensorflow as tf

    path = shipped_models()[name].keras
    ours, theirs = read_keras_model(path), load_with_keras(path)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert ours.count_params() == theirs.count_params()
    assert_equal_outputs(ours, theirs)
    if name not in _kinds().values():
        return
    x = np.random.default_rng(0).random((4, *ours.input_shape[1:]), dtype=np.float32)
    traced = [tf.function(lambda x, model=model: model(x, training=False))(x).numpy() for model in (ours, theirs)]
    assert np.array_equal(*traced)


def _nested() -> ModelDraft:
    """Three levels, a model applied twice, and the value of an inner layer among the outputs."""
    middle = block(seed=1, prefix="m_").add_model("inner", block(seed=2, prefix="i_"), "m_act")
    draft = outer().add_model("first", block(seed=3), "image").add_model("middle", middle, "first")
    draft.apply("first", "middle")
    draft.add("Add", "sum", "middle", ("first", 2, 0))
    draft.outputs = ["sum", ("middle", 1, 0)]
    return draft


def _shared() -> ModelDraft:
    """A convolution applied to its own output."""
    draft = block(seed=4)
    return draft.apply("conv", "act").add("Add", "sum", ("conv", 1, 0), "act")


@pytest.mark.parametrize("form", ["h5", "keras"])
@pytest.mark.parametrize("draft", [tiny_model, float_draft, _nested, _shared])
def test_drafts(draft: Any, form: str, tmp_path: Path) -> None:
    path = draft().save_h5(tmp_path / "m.h5")
    theirs = load_with_keras(path)
    if form == "keras":  # Keras wants more in an archive than drafts write
        path = tmp_path / "m.keras"
        theirs.save(path)
    assert_equal_outputs(read_keras_model(path), theirs)


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_a_sequential_model_in_a_sequential_model(form: str, tmp_path: Path) -> None:
    import qkeras
    import tf_keras
    from tf_keras import layers

    inner = tf_keras.Sequential([layers.Dense(5, "relu"), layers.BatchNormalization(), layers.Dropout(0.5)])
    model = tf_keras.Sequential(
        [
            layers.Input((6,)),
            inner,
            qkeras.QDense(4, kernel_quantizer="quantized_bits(4,0,1)", activation="hard_tanh"),
            layers.Softmax(),
        ]
    )
    model.save(tmp_path / f"m.{form}")
    built = read_keras_model(tmp_path / f"m.{form}")
    assert_equal_outputs(built, model)
    assert built.input_shape == (None, 6)


def test_a_fixed_batch_becomes_any(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("image")["batch_input_shape"][0] = 7
    built = read_keras_model(draft.save_h5(tmp_path / "m.h5"))
    assert outputs_of(built, np.zeros((2, 6, 5, 2), np.float32))[0].shape == (2, 3)


def test_only_what_decides_something_reaches_keras(tmp_path: Path) -> None:
    """Not initializers, constraints, rates or what else acts in training, whatever they are."""
    draft = float_draft()
    for name in ("conv1", "fc"):
        draft.settings(name)["kernel_initializer"] = {"class_name": "Orthogonal", "config": {"gain": 9.0, "seed": None}}
        draft.settings(name)["kernel_regularizer"] = {"class_name": "L2", "config": {"l2": 0.1}}
    built = read_keras_model(draft.save_h5(tmp_path / "m.h5"))
    assert type(built.get_layer("conv1").kernel_initializer).__name__ == "Zeros"
    assert not built.losses
    assert built.get_layer("dropout").rate == 0


@pytest.mark.parametrize("name", ["", "my net", "_net", "net/2", "é", "名", "a" * 250])
def test_any_name_of_a_model(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    draft = tiny_model()
    draft.name = name
    checked = check_model(draft.save_h5(tmp_path / "m.h5"))
    model = build_keras_model(checked, "m.h5")
    assert checked.name == name
    assert tf.function(model)(tf.zeros((1, 6, 5, 2))).shape == (1, 3)


@pytest.mark.parametrize("name", ["my conv", "_conv", "conv!", "名"])
def test_names_of_layers_that_tensorflow_refuses(name: str, tmp_path: Path) -> None:
    import json

    text = json.dumps(tiny_model().config()).replace('"fc"', json.dumps(name))
    draft = tiny_model()
    draft.arrays = {name if layer == "fc" else layer: arrays for layer, arrays in draft.arrays.items()}
    path = draft.save_h5(tmp_path / "m.h5", text)
    with pytest.raises(StqError, match="Keras cannot build it") as caught:
        read_keras_model(path)
    assert str(path) in caught.value.where


# Settings


def _reread(name: str, **parameters: Any) -> None:
    quantizer = make_quantizer(name, **parameters)
    found = read_quantizer(str(quantizer), Role("tests", (name,), 32))
    assert found == quantizer


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name in ANYTHING.quantizers])
def test_a_quantizer_written_anew_is_the_same(name: str) -> None:
    """What QActivation is given is the parsed quantizer's own text."""
    _reread(name)
    for key, (_, accepted) in PARAMETERS[name].items():
        for value in (True, False, 0, 1, 2, 4, 0.25, 0.5, 3.0, 1e-5, 65536.0, "auto", "auto_po2", "floor"):
            if accepted.accepts(value) and (key, value) != ("number_of_unrolls", 0.25):
                try:
                    read_quantizer({"class_name": name, "config": {key: value}}, Role("tests", (name,), 32))
                except StqError:
                    continue
                _reread(name, **{key: value})


def test_quantized_linear_without_a_qkeras_that_has_it() -> None:
    import tensorflow as tf

    x = tf.constant([-2.0, -0.55, -0.3, 0.0, 0.1, 0.49, 0.6, 3.0])
    quantizer = quantizer_object(read_quantizer("quantized_linear(3,0,1,alpha=1)", ANYTHING))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x)
    assert y.numpy().tolist() == [-0.75, -0.5, -0.25, 0, 0, 0.5, 0.5, 0.75]
    assert tape.gradient(y, x).numpy().tolist() == [0, 1, 1, 1, 1, 1, 1, 0]


class _Defaults(LayerReader):
    """Answers every setting with its example, and keeps the default that the import takes it to have."""

    def __init__(self, kind: str) -> None:
        self.defaults: dict[str, Any] = {}
        super().__init__(LayerConfig(kind, kind, {}, (), (kind,), "", {}), [], self._ones, 0)
        self.inputs = [(0, (16, 4) if self.in_rows else (16,) if kind.endswith("Dense") else (8, 8, 4))]

    @staticmethod
    def _ones(shapes: Any) -> dict[str, Any]:
        return {name: np.ones(shape, np.float32) for name, shape in shapes.items() if shape is not None}

    def take(self, key: str, values: AcceptedValues, default: Any = None) -> Any:
        self.defaults[key] = default if values.accepts(default) else None
        return values.example

    def quantizer(self, key: str, role: Role, default: str | None = None) -> Any:
        self.defaults[key] = default
        return read_quantizer(default or role.quantizers[0], role)


@pytest.mark.parametrize("kind", [kind for kind in supported_kinds() if kind != "InputLayer" and ">" not in kind])
def test_a_setting_that_a_file_leaves_out_is_keras_default(kind: str) -> None:
    """It reaches neither; the import and Keras have to mean the same by its absence."""
    reader = _Defaults(kind)
    if kind in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "Concatenate"):
        reader.inputs = reader.inputs * 2
    handler_for(kind, kind)(reader)
    constructors = [vars(c)["__init__"] for c in reversed(_classes()[kind].__mro__) if "__init__" in vars(c)]
    stated: dict[str, Any] = {}
    for constructor in constructors:
        stated |= {name: each.default for name, each in inspect.signature(constructor).parameters.items()}
    compared = {
        key: (default, stated[key])
        for key, default in reader.defaults.items()
        if default is not None and key in _parameters(_classes()[kind]) and stated[key] is not inspect.Parameter.empty
    }
    compared.pop("data_format", None)  # None in Keras: channels_last
    compared.pop("dtype", None)  # None in Keras: float32
    for ours, theirs in compared.values():
        assert theirs is None or ours == theirs or [ours] == [*theirs] or (ours,) * len(theirs) == theirs
