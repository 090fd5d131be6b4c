"""A network of the user's own, from a function in a Python file: `my_network.py:build`.

    from tf_keras import Model, layers
    from stq_deploy.zoo.layers import SchemeLayers

    def build(scheme, classes, input_shape):
        make = SchemeLayers(scheme)                       # gives every layer the scheme's quantizers
        inputs = layers.Input(input_shape)
        x = make.activation(inputs, "quantize_input", scheme.input, "linear")
        x = make.relu(make.batch_norm(make.conv(x, "conv1", 16, 3, first=True), "bn1"), "relu1")
        x = make.dense(layers.Flatten()(x), "fc", classes)
        return Model(inputs, layers.Activation("softmax")(x))

Naming such a file runs it, with everything that Python can do: use it only for your own files.
"""

from __future__ import annotations

import runpy
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tf_keras

from stq_deploy.common.errors import StqError
from stq_deploy.zoo.schemes import Scheme

_EXAMPLE = "stq_deploy/zoo/user_network.py shows one"


def is_user_network(network: str) -> bool:
    """Whether the text is `file.py:function` rather than a name."""
    return ".py:" in network


def build_user_network(network: str, scheme: Scheme, classes: int, input_shape: tuple[int, int, int]) -> Any:
    """The function's model for the scheme: a tf_keras Model (N, H, W, C) -> softmax (N, classes).

    Raises:
        StqError: the file or function does not exist, fails, or returns something else.
    """
    name, _, function = network.rpartition(":")
    path = Path(name)
    if not path.is_file():
        raise StqError("there is no such file", where=str(path), next="check the path in --network FILE.py:FUNCTION")
    found = _guarded(path, lambda: runpy.run_path(str(path))).get(function)
    if not callable(found):
        raise StqError(f"there is no function {function!r}", where=str(path), next=_EXAMPLE)
    model = _guarded(path, lambda: found(scheme, classes, input_shape))
    _check(model, network, (None, *input_shape), (None, classes))
    return model


def _guarded(path: Path, call: Callable[[], Any]) -> Any:
    """Runs the user's code; errors name the line of the user's file that caused them."""
    try:
        return call()
    except StqError:
        raise
    except Exception as error:  # anything the user's code raises
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        raise StqError("the network's code failed", where=place, cause=f"{type(error).__name__}: {error}") from error


def _check(model: Any, network: str, input_shape: tuple[Any, ...], output_shape: tuple[Any, ...]) -> None:
    if not isinstance(model, tf_keras.Model) or not model.built:
        raise StqError(
            f"the function returns {type(model).__name__}, not a tf_keras Model", where=network, next=_EXAMPLE
        )
    if model.input_shape != input_shape or model.output_shape != output_shape:
        raise StqError(
            f"the network maps {model.input_shape} to {model.output_shape}, not {input_shape} to {output_shape}",
            where=network,
            next="use the input shape and the number of classes that the function is given",
        )
    last = model.layers[-1]
    if not isinstance(last, tf_keras.layers.Activation) or last.activation is not tf_keras.activations.softmax:
        raise StqError(
            f"the network ends in {type(last).__name__}, not in a softmax of its own",
            where=network,
            cause="the loss is taken from the logits before it",
            next='end with tf_keras.layers.Activation("softmax")',
        )
