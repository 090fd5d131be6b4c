"""Writes a model file of Keras 2 as Keras 3 and QKeras v3 would have written it: the inverse of the import's reading.

It knows the forms from files that Keras 3 has written (tests/frontend/keras3), and shares no code with the import.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

_VERSION = "3.15.1"
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
_WITHOUT_COUNTERPART = ("ThresholdedReLU",)
_OTHER_FUNCTIONS = ("hard_sigmoid",)
"""Names of functions that mean another function in Keras 3."""


class NoCounterpartError(Exception):
    """Keras 3 has no such layer."""


def write_keras_3(of_keras_2: Path, path: Path) -> Path:
    """Write a .keras file of Keras 3 with the content of one of Keras 2.

    Raises:
        NoCounterpartError: the model has a layer, or a function, that Keras 3 lacks.
    """
    with zipfile.ZipFile(of_keras_2) as archive:
        config, weights = json.loads(archive.read("config.json")), archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": _VERSION}))
        archive.writestr("config.json", json.dumps(_model(config, {})))
        archive.writestr("model.weights.h5", weights)
    return path


def _model(entry: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    settings = entry["config"]
    layers = [_layer(layer) for layer in settings["layers"]]
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": settings | {"layers": layers},
        "registered_name": "Functional",
    } | more


def _layer(layer: dict[str, Any]) -> dict[str, Any]:
    kind = layer["class_name"]
    if kind in _WITHOUT_COUNTERPART:
        raise NoCounterpartError(kind)
    calls = [_call(call) for call in layer.get("inbound_nodes", [])]
    more = {"name": layer["config"]["name"], "inbound_nodes": calls}
    if kind == "Functional":
        return _model(layer, more)
    return _registered(layer, "qkeras.qlayers") | {"config": _settings(kind, layer["config"])} | more


def _registered(entry: dict[str, Any], module: str) -> dict[str, Any]:
    """The class's name, with QKeras's as QKeras v3 registers them."""
    kind, of_qkeras = entry["class_name"], str(entry.get("module")).startswith("qkeras")
    return {
        "module": module if of_qkeras else entry.get("module"),
        "class_name": kind,
        "registered_name": f"qkeras>{kind}" if of_qkeras else None,
        **({"build_config": entry["build_config"]} if entry.get("build_config") else {}),
    }


def _settings(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    renamed = _RENAMED.get(kind, {})
    found = {}
    for key, value in config.items():
        if key == "activation" and value in _OTHER_FUNCTIONS and not kind.startswith("Q"):
            raise NoCounterpartError(value)
        found[renamed.get(key, key)] = _value(value)
    if kind == "InputLayer":
        found["batch_shape"] = found.pop("batch_input_shape")
    if "dtype" in found:
        found["dtype"] = {
            "module": "keras", "class_name": "DTypePolicy", "config": {"name": found["dtype"]}, "registered_name": None
        }  # fmt: skip
    return found


def _value(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("config"), dict) and isinstance(value.get("class_name"), str):
        kind = value["class_name"]
        return _registered(value, "qkeras.quantizers") | {"config": _settings(kind, value["config"])}
    return value


def _call(call: Any) -> dict[str, Any]:
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"dtype": "float32", "keras_history": [layer, 0, output]}}
        for layer, _, output, _ in call
    ]
    return {"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}
