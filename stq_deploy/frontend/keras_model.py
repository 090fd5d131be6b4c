"""A Keras model built from checked values: Keras parses no file, no configuration and no text of a file.

Every layer is an instance of one of `_classes`, with only the settings that its handler has taken. Its variables get
the arrays that the handler has read. Initializers, regularizers, constraints, dropout rates and compile settings have
no effect at inference and are left out. The model is only run, or its weights are read. Layers of inner models become
layers of this one, named by their path.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.tensorflow_import import import_tensorflow
from stq_deploy.frontend.checked import ActivationFunction, CheckedLayer, CheckedModel, Setting
from stq_deploy.frontend.errors import located, shown, unsupported
from stq_deploy.frontend.importer import check_model
from stq_deploy.frontend.layers import supported_kinds
from stq_deploy.frontend.quantizers import PARAMETERS, Quantizer

KerasTensor = Any
"""A symbolic tensor; Keras comes without types."""

_INPUT = "InputLayer"
_NOT_OF_NAMES = re.compile(r"[^A-Za-z0-9_.-]")  # what TensorFlow takes in the name of a model
_WORD = re.compile(r"\w{0,64}", re.ASCII)
_DEPTH = 3
_OF_TRAINING = {"rate": 0.0, "stddev": 0.0}
"""Constructor settings that act in training only -> a value."""
_ALWAYS = ("dtype",)
"""Settings of every layer, which no constructor lists."""


def read_keras_model(path: str | os.PathLike[str]) -> Any:
    """The tf_keras Model in a .h5 or .keras file, uncompiled.

    Raises:
        StqError: the file is unusable or not supported, or TensorFlow is not installed.
    """
    return build_keras_model(check_model(path), str(path))


def build_keras_model(checked: CheckedModel, where: str) -> Any:
    """The tf_keras Model of a checked file, uncompiled; any number of samples at a time.

    Args:
        where: the file, for errors.

    Raises:
        StqError: Keras cannot build it, or TensorFlow is not installed.
    """
    import_tensorflow("running a QKeras model", where=where)
    import tf_keras

    from stq_deploy.research.quantizers.exact import keep_order_of_additions

    keep_order_of_additions()
    values: dict[str, KerasTensor] = {}
    made: dict[tuple[str, ...], Any] = {}
    try:
        for layer in checked.layers:
            with _as_error(layer):
                if layer.kind == _INPUT:  # an inner model's InputLayer adds nothing, and nothing reads it
                    if not layer.inputs:
                        values[layer.name] = tf_keras.Input(checked.input_shape, name=layer.name)
                    continue
                inputs = [values[name] for name in layer.inputs]
                known = layer.path in made
                if not known:
                    made[layer.path] = _layer(layer)
                values[layer.name] = made[layer.path](inputs if len(inputs) > 1 else inputs[0])
                if not known:
                    _assign(layer, made[layer.path])
    except StqError as error:
        raise located(error, where) from error
    outputs = [values[name] for name in checked.outputs]
    return tf_keras.Model(
        values[checked.layers[0].name],
        outputs if len(outputs) > 1 else outputs[0],
        name="m" + _NOT_OF_NAMES.sub("_", checked.name) if _odd(checked.name) else checked.name,
    )


def _odd(name: str) -> bool:
    """Whether TensorFlow refuses it as a model's name."""
    return not name or name[0] in "_-" or _NOT_OF_NAMES.search(name) is not None


@contextmanager
def _as_error(layer: CheckedLayer) -> Iterator[None]:
    """Keras's complaint about a layer that it cannot build, as an error for people."""
    try:
        yield
    except StqError:
        raise
    except Exception as error:  # Keras raises nearly every kind
        said = (str(error).splitlines() or [""])[0]
        raise unsupported(
            layer.name, layer.kind, f"Keras cannot build it: {shown(said)[1:-1]}",
            next="build and save the model again with tf_keras 2",
            cause="its settings contradict each other, or TensorFlow does not accept its name",
        ) from error  # fmt: skip


def _layer(layer: CheckedLayer) -> Any:
    """A new Keras layer of this class and these settings; it has no variables yet."""
    constructor = _classes()[layer.kind]
    known = _parameters(constructor)
    arguments = {
        key: _value(layer, key, setting)
        for key, setting in layer.settings.items()
        # A later QKeras has settings that this one lacks; the import accepts only their null.
        if setting is not None or key in known
    }
    arguments |= {key: "zeros" for key in known if key.endswith("_initializer")}  # every variable is assigned
    arguments |= {key: value for key, value in _OF_TRAINING.items() if key in known}
    unknown = arguments.keys() - known - {*_ALWAYS}
    if unknown:
        raise unsupported(
            layer.name, layer.kind, f"the installed QKeras knows no setting {shown(sorted(unknown)[0])}",
            next="install the version of qkeras that the model was saved with",
        )  # fmt: skip
    return constructor(name=layer.name, **arguments)


def _assign(layer: CheckedLayer, built: Any) -> None:
    """Assign every variable of a layer its array, by name; a counter of steps keeps its initial value."""
    arrays = {name.rpartition("/")[2]: array for name, array in layer.arrays.items()}
    variables = {variable.name.rpartition("/")[2].partition(":")[0]: variable for variable in built.weights}
    if len(variables) != len(built.weights) or variables.keys() != arrays.keys() | layer.unread:
        raise unsupported(
            layer.name, layer.kind, f"Keras makes the arrays {sorted(variables)}, the file has {sorted(arrays)}",
            next="save the model again with tf_keras 2 and qkeras 0.9",
        )  # fmt: skip
    for name, array in arrays.items():
        variables[name].assign(array)


# Classes


@cache
def _classes() -> Mapping[str, Callable[..., Any]]:
    """Every class that a layer may have: those with a handler in the import, except what tf_keras and qkeras lack.

    A name with ">" is of another library, such as HGQ2, or states a layer as Keras 3 has quantized it.
    """
    import qkeras
    import tf_keras

    kinds = [kind for kind in supported_kinds() if kind != _INPUT and ">" not in kind]
    return {kind: getattr(qkeras if kind.startswith("Q") else tf_keras.layers, kind) for kind in kinds}


@cache
def _parameters(constructor: type[Any]) -> frozenset[str]:
    """Names of the settings that a class and those it derives from take."""
    signatures = [inspect.signature(vars(c)["__init__"]) for c in constructor.__mro__ if "__init__" in vars(c)]
    return frozenset(name for signature in signatures for name in signature.parameters)


# Settings


def _value(layer: CheckedLayer, key: str, setting: Setting) -> Any:
    """A setting as the constructor takes it."""
    if isinstance(setting, Quantizer):
        # QActivation keeps its argument and takes its name from it: a text, written anew from the parsed quantizer.
        as_text = layer.kind == "QActivation" and _quantizer_classes().get(setting.name) is not None
        return str(setting) if as_text else quantizer_object(setting)
    if isinstance(setting, CheckedLayer):
        return _layer(setting)
    if isinstance(setting, ActivationFunction):
        return _function(setting, layer.kind.startswith("Q"))
    if not _is_plain(setting, _DEPTH):
        raise unsupported(
            layer.name,
            layer.kind,
            f"the setting {key}={shown(setting)} is not a plain value",
            next="save the model again",
        )
    return setting


def _is_plain(value: object, depth: int) -> bool:
    """Whether it is a number, a word, or a short list of these: nothing that Keras would look up or evaluate."""
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    if isinstance(value, list | tuple):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return value is None or type(value) in (bool, int, float)


def _function(function: ActivationFunction, for_qkeras: bool) -> Any:
    """A word that QKeras looks up first among its own, and Keras among Keras's; else the function."""
    if function.of_qkeras and not for_qkeras:
        import qkeras.quantizers

        return getattr(qkeras.quantizers, function.name)
    return function.name


def quantizer_object(quantizer: Quantizer) -> Any:
    """A new quantizer of QKeras's, or of ours where it draws in training; TensorFlow is imported.

    Raises:
        KeyError: the quantizer is one of post-training quantization.
    """
    constructor = _quantizer_classes()[quantizer.name]
    return _LinearActivation(quantizer) if constructor is None else constructor(**quantizer.parameters)


@cache
def _quantizer_classes() -> Mapping[str, Callable[..., Any] | None]:
    """Every quantizer that a file may name -> its class; None where the installed QKeras has none."""
    import qkeras.quantizers

    from stq_deploy.research.quantizers.factory import OURS

    return {name: OURS.get(name) or getattr(qkeras.quantizers, name, None) for name in PARAMETERS}


class _LinearActivation:
    """`quantized_linear` for a QKeras that lacks it; its gradient is 1 between the lowest and the highest level."""

    def __init__(self, quantizer: Quantizer) -> None:
        self._quantizer = quantizer

    def __call__(self, x: Any) -> Any:
        """Tensor of float32 -> quantized tensor of its shape."""
        import tensorflow as tf

        from stq_deploy.frontend.linear_tensors import linear_levels

        @tf.custom_gradient  # type: ignore[untyped-decorator]  # tensorflow has no types
        def quantize(x: Any) -> Any:
            levels, step, (low, high) = linear_levels(x, self._quantizer)
            inside = tf.logical_and(x >= low * step, x <= high * step)
            return x + (levels * step - x), lambda upstream: tf.where(inside, upstream, tf.zeros_like(upstream))

        return quantize(x)
