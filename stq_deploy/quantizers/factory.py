"""From a quantizer's text, as a scheme writes it, to a quantizer; and what a model file needs to load."""

from __future__ import annotations

from typing import Any

import qkeras.quantizers as qk
import tf_keras
from qkeras.safe_eval import safe_eval
from qkeras.utils import _add_supported_quantized_objects

from stq_deploy.quantizers.exact import keep_order_of_additions
from stq_deploy.quantizers.stochastic import stochastic_binary, stochastic_ternary

OURS: dict[str, Any] = {"stochastic_ternary": stochastic_ternary, "stochastic_binary": stochastic_binary}


def make_quantizer(text: str) -> Any:
    """A new quantizer from text such as `quantized_relu(4,2)`; stochastic names give ours. qkeras syntax."""
    return safe_eval(text, {**vars(qk), **OURS})


def custom_objects() -> dict[str, Any]:
    """What `tf_keras.models.load_model` needs to load a model of ours, ready to train on."""
    objects: dict[str, Any] = {}
    _add_supported_quantized_objects(objects)
    objects.update(OURS)
    return objects


def load_model(path: str) -> Any:
    """Load a QKeras or Keras model file, uncompiled, with our drawing quantizers in place of qkeras' own.

    Only for files you trust: Keras may run what a file tells it to.
    """
    keep_order_of_additions()
    return tf_keras.models.load_model(path, custom_objects=custom_objects(), compile=False)
