"""The objects a layer's settings may hold: initializers, constraints, regularizers, quantizers; nothing else.

Most of them act in training only, and the import ignores them. It checks them in any case. So a file that has passed
the import holds nothing that Keras would import or execute if the user opened it.
"""

from __future__ import annotations

import re
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown, unsupported
from stq_deploy.frontend.layer_graph import LayerConfig
from stq_deploy.frontend.layers.activation import ACTIVATION_LAYERS, FUNCTIONS
from stq_deploy.frontend.layers.alternatives import ALTERNATIVES
from stq_deploy.frontend.origin import LAYER_MODULES, OBJECT_MODULES, check_origin
from stq_deploy.frontend.quantizers import ANYTHING, read_quantizer
from stq_deploy.frontend.values import is_whole

_TRAINING_CLASSES = frozenset(
    {
        *("Zeros", "Ones", "Constant", "Identity", "Orthogonal", "VarianceScaling", "QInitializer"),
        *("RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotNormal", "GlorotUniform"),
        *("HeNormal", "HeUniform", "LecunNormal", "LecunUniform"),
        *("Clip", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "L1", "L2", "L1L2"),
    }
)
_WORD = re.compile(r"\w{0,64}", re.ASCII)  # the name of an initializer, say; QKeras evaluates texts with brackets
_DEPTH = 6
_MAXIMUM_ITEMS = 1 << 16
_MAXIMUM_SIZE = 1 << 24
_MAXIMUM_RANK = 5


def check_objects(layer: LayerConfig) -> None:
    """Check a layer's class and every setting, however deep.

    Raises:
        StqError: an object that is not on the list, names a module of its own, or a text that QKeras would evaluate.
    """
    check_origin(layer.entry, LAYER_MODULES)
    for key, value in layer.config.items():
        # Texts of these settings are read, and so checked, by the quantizers' own parser.
        if isinstance(value, str) and (key in ("name", "activation") or key.endswith("_quantizer")):
            continue
        try:
            _check_activation(value, _DEPTH) if key == "activation" else _check(value, _DEPTH)
        except StqError as error:
            what = f"the setting {shown(key)}: {error.what}"
            raise unsupported(layer.name, layer.kind, what, error.next) from error


def check_build(layer: LayerConfig, channels: int | None = None) -> None:
    """Check the shape for which Keras would build the layer before applying it.

    Args:
        channels: of the layer's input, if the layer has weights, since Keras would make weights for any shape. Another
            layer may be built for one of several shapes that it is applied to.

    Raises:
        StqError: it is not a shape, or has other channels.
    """
    built = layer.entry.get("build_config")
    if not _is_build(built, channels):
        applied = "" if channels is None else f", and is applied to {channels} channels"
        raise unsupported(
            layer.name, layer.kind, f"it was built for {shown(built)}{applied}", next="save the model again"
        )


def _is_build(built: Any, channels: int | None) -> bool:
    if built in (None, {"input_shape": None}):
        return True
    shape = built.get("input_shape") if isinstance(built, dict) and len(built) == 1 else None
    return isinstance(shape, list) and (channels is None or _may_be(shape, channels))


def _may_be(shape: list[Any], channels: int) -> bool:
    sizes_fit = all(size is None or is_whole(size, 1, _MAXIMUM_SIZE) for size in shape)
    return 1 < len(shape) <= _MAXIMUM_RANK and shape[-1] in (None, channels) and sizes_fit


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise _refused("it nests objects too deeply")
    if value is None or isinstance(value, bool | int | float):
        return
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        if len(value) > _MAXIMUM_ITEMS:
            raise _refused(f"it lists {len(value)} values; {_MAXIMUM_ITEMS} are possible")
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, dict) and value:
        _check_object(value, depth)


def _check_text(text: str) -> None:
    if not _WORD.fullmatch(text):
        try:
            read_quantizer(text, ANYTHING)
        except StqError as error:
            raise _refused(f"it holds the text {shown(text)}") from error


def _check_activation(value: Any, depth: int) -> None:
    """As `_check`; the object may be a layer, too."""
    kind = value.get("class_name") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in ALTERNATIVES:
        raise StqError(f"it holds a layer {kind}: {ALTERNATIVES[kind][0]}", next=ALTERNATIVES[kind][1])
    if not isinstance(kind, str) or kind not in ACTIVATION_LAYERS:
        _check(value, depth)
        return
    config = value.get("config")
    if depth == 0 or not isinstance(config, dict) or not _is_build(value.get("build_config"), None):
        raise _refused(f"it holds a damaged layer {kind}")
    check_origin(value, LAYER_MODULES)
    for key, item in config.items():
        if key == "activation" and isinstance(item, dict):
            _check_activation(item, depth - 1)
        elif key not in ("name", "activation") or not isinstance(item, str):
            _check(item, depth - 1)


def _check_object(value: dict[str, Any], depth: int) -> None:
    kind = value.get("class_name")
    if _is_function(value):
        return
    if kind == "__numpy__":
        raise StqError("it holds an array", next="give a quantizer one number for its alpha, or 'auto_po2'")
    if not isinstance(kind, str) or kind not in {*ANYTHING.quantizers, *_TRAINING_CLASSES}:
        raise _refused(f"it holds an object of class {shown(kind)}")
    check_origin(value, OBJECT_MODULES)
    config = value.get("config")
    if not isinstance(config, dict):
        raise _refused(f"it holds an object of class {shown(kind)} without settings")
    for item in config.values():
        _check(item, depth - 1)


def _is_function(value: dict[str, Any]) -> bool:
    """Whether it is one of qkeras's activations, in the form in which Keras writes foreign functions."""
    others = {key: item for key, item in value.items() if key not in ("config", "shared_object_id")}
    name, known = value.get("config"), {"module": "builtins", "class_name": "function", "registered_name": "function"}
    return others == known and isinstance(name, str) and name in FUNCTIONS


def _refused(what: str) -> StqError:
    return StqError(what, next="use Keras's and QKeras's own initializers, constraints, regularizers and quantizers")
