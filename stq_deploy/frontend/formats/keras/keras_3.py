"""A model's configuration as Keras 3 writes it, rewritten as Keras 2 would have written it.

Everything after this module knows Keras 2's form only. Nothing is executed, and nothing but the form is checked: what
remains is as untrusted as the file. A part that has no counterpart in Keras 2 stays as it is, or becomes a class that
the import refuses by name. The forms are those of Keras 3.0 to 3.15 (`keras.src.models.functional`) and QKeras v3:

- dtype policies are objects, of models too: `{"class_name": "DTypePolicy", "config": {"name": "float32"}}`.
- calls have `args` and `kwargs`, with tensors as `__keras_tensor__`; Keras 2 lists the tensors.
- calls of a model count from 0, except among a Functional model's outputs; Keras 2 counts them from 1.
- a function of `keras.ops` is a layer of the graph: `x + y` is an `Add` of the module `keras.src.ops.numpy`.
- QKeras v3 registers its classes: `qkeras>QDense`.
- a Dense that `model.quantize` has changed has another dtype policy; here it is a class of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from stq_deploy.frontend.errors import damaged, shown
from stq_deploy.frontend.layers.settings import POLICIES, QUANTIZED_DENSE
from stq_deploy.frontend.model_config import MAXIMUM_INPUTS, MAXIMUM_LAYERS, MODEL_KINDS

OPERATION = "KerasOperation"
"""The class that stands for a function of `keras.ops` without a layer of the same meaning."""
_READ_POLICIES = ("QuantizedDTypePolicy", "Int4DTypePolicy")
QUANTIZED_POLICIES = (*_READ_POLICIES, "QuantizedFloat8DTypePolicy", "GPTQDTypePolicy", "AWQDTypePolicy")
_MODE = re.compile(r"(int8)|(int4)/(-1|[1-9]\d{0,5})", re.ASCII)
"""A mode is int8, or int4 by channel (-1) or in blocks. The plain `int4` of older versions states no blocks."""
_POLICIES = ("DTypePolicy", "FloatDTypePolicy")
_POLICY_MODULES = (None, "keras", "keras.dtype_policies")
_MAXIMUM_DEPTH = 32
_MAXIMUM_NAME = 64
_OF_QKERAS = "qkeras>"
_OF_HGQ2 = "hgq>"
_CONFIGURED = {
    "iq_conf": "input_quantizer",
    "kq_conf": "kernel_quantizer",
    "bq_conf": "bias_quantizer",
    "oq_conf": "output_quantizer",
    "config": "own_quantizer",
}
"""Settings of HGQ2 that hold a quantizer's configuration -> what they are called here."""
_OPERATIONS = "keras.src.ops."
_JOINING = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")
_FUNCTIONS = {"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh"}
_WITHOUT_VALUE = ("quantization_config", "lora_rank", "lora_alpha")
"""Settings that Keras 3 has added; null means that the layer is as before."""
_RENAMED: Mapping[str, Mapping[str, str]] = {"LeakyReLU": {"negative_slope": "alpha"}}
_OTHER_FUNCTIONS: Mapping[str, str] = {"hard_sigmoid": "hard_sigmoid of Keras 3", "hard_silu": "hard_silu"}
"""Names that Keras 3 gives to other functions than Keras 2: its hard sigmoid is `relu6(x + 3) / 6`."""
_CONSTANT = ["_CONSTANT_VALUE", -1, "", {}]


def is_keras_3(entry: Mapping[str, Any]) -> bool:
    """Whether Keras 3 has written a model's entry.

    It is recognized by forms that only Keras 3 writes: module names, dtype policies, calls and input layers. Each of
    its models has at least one of them.
    """
    if re.match(r"keras\.(src\.)?models(\.|$)", str(entry.get("module"))):
        return True
    settings = entry.get("config")
    layers = settings.get("layers") if isinstance(settings, dict) else None
    return isinstance(layers, list) and any(_is_keras_3_layer(layer) for layer in layers[:MAXIMUM_LAYERS])


def _is_keras_3_layer(entry: Any) -> bool:
    config = entry.get("config") if isinstance(entry, dict) else None
    if not isinstance(config, dict):
        return False
    dtype, nodes = config.get("dtype"), entry.get("inbound_nodes")
    policy = isinstance(dtype, dict) and dtype.get("class_name") in (*_POLICIES, *QUANTIZED_POLICIES)
    called = isinstance(nodes, list) and any(isinstance(node, dict) for node in nodes)
    return policy or called or (entry.get("class_name") == "InputLayer" and "batch_shape" in config)


def as_keras_2(entry: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A model's entry, `{"class_name": ..., "config": {"layers": [...]}}`, in Keras 2's form.

    Raises:
        StqError: the models nest too deeply, or a call has no usable form.
    """
    if depth > _MAXIMUM_DEPTH:
        raise damaged("its models are nested too deeply")
    settings = entry.get("config")
    if not isinstance(settings, dict) or not isinstance(settings.get("layers"), list):
        return dict(entry)
    layers = settings["layers"][: MAXIMUM_LAYERS + 1]
    first = {_name(layer): _first_call(layer) for layer in layers}
    kept = {key: value for key, value in settings.items() if key != "dtype" or policy_name(value) not in POLICIES}
    kept["layers"] = [_layer(layer, first, depth) for layer in layers]
    for key in ("input_layers", "output_layers"):
        if key in kept:
            kept[key] = _outputs(kept[key], layers, first)
    return {key: value for key, value in entry.items() if key != "compile_config" or value != {}} | {"config": kept}


def policy_of(value: Any) -> str:
    """What a dtype policy is called: "", or a word such as "int8_from_float32" where Keras 3 quantized the layer."""
    if isinstance(value, dict) and value.get("class_name") in QUANTIZED_POLICIES:
        config = value.get("config")
        if isinstance(config, dict):
            stated = f"{config.get('mode')}_from_{config.get('source_name')}"
            return re.sub(r"\W+", "_", stated, flags=re.ASCII)[:_MAXIMUM_NAME]
    return ""


def has_quantized_layers(config: str) -> bool:
    """Whether the text of a configuration names a policy under which Keras 3 has quantized layers."""
    return any(f'"{policy}"' in config for policy in _READ_POLICIES)


def policy_name(value: Any) -> Any:
    """The name of a dtype policy that is an object of Keras 3; anything else as it is."""
    config = value.get("config") if isinstance(value, dict) else None
    if (
        isinstance(config, dict)
        and value.get("class_name") in _POLICIES
        and value.get("module") in _POLICY_MODULES
        and config.keys() == {"name"}
        and isinstance(config["name"], str)
    ):
        return config["name"]
    return value


def _name(layer: Any) -> Any:
    config = layer.get("config") if isinstance(layer, dict) else None
    name = config.get("name", layer.get("name")) if isinstance(config, dict) else None
    return name if isinstance(name, str) else None


def _first_call(layer: Any) -> int:
    """The number of a layer's first call in Keras 2's form (`LayerCall.number`)."""
    if not isinstance(layer, dict) or layer.get("class_name") not in MODEL_KINDS:
        return 0
    if layer["class_name"] != "Sequential":
        return 1
    config = layer.get("config")
    inner = config.get("layers") if isinstance(config, dict) else None
    first = inner[0] if isinstance(inner, list) and inner else None
    return int(isinstance(first, dict) and first.get("class_name") == "InputLayer")


# Layers


def _layer(layer: Any, first: Mapping[Any, int], depth: int) -> Any:
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
        return layer
    found = layer
    if layer.get("class_name") in MODEL_KINDS:
        found = _registered(as_keras_2(layer, depth + 1))
    else:
        found = _quantized_dense(_registered(_operation(layer)))
        kind = found.get("class_name")
        found = found | {"config": _settings(str(kind), found["config"], depth)}
    nodes = layer.get("inbound_nodes")
    if isinstance(nodes, list):
        found = found | {"inbound_nodes": [_call(node, layer, first) for node in nodes[: MAXIMUM_LAYERS + 1]]}
    return found


def _operation(layer: dict[str, Any]) -> dict[str, Any]:
    """A function of `keras.ops` as the layer of the same meaning, or as one that is refused by name."""
    kind, module = layer.get("class_name"), layer.get("module")
    # An .h5 file states no module; Keras has no layers named like these functions.
    stated = module if isinstance(module, str) else _OPERATIONS if module is None and kind in [*_FUNCTIONS] else ""
    if not isinstance(kind, str) or not stated.startswith(_OPERATIONS):
        return layer
    found = layer | {"module": "keras.layers", "config": {"name": _name(layer)}}
    if layer.get("registered_name") == kind:
        found["registered_name"] = None
    if kind in _JOINING:
        return found
    if kind in _FUNCTIONS:
        found["config"]["activation"] = _FUNCTIONS[kind]
        return found | {"class_name": "Activation"}
    return found | {"class_name": OPERATION}


def _quantized_dense(layer: dict[str, Any]) -> dict[str, Any]:
    """A Dense that Keras 3 has quantized to int8 or int4 from float32, as a class of its own; others as they are."""
    config = layer["config"]
    dtype = config.get("dtype")
    policy = dtype.get("config") if isinstance(dtype, dict) and dtype.get("class_name") in _READ_POLICIES else None
    if layer.get("class_name") != "Dense" or not isinstance(policy, dict) or policy.get("source_name") != "float32":
        return layer
    found = _MODE.fullmatch(str(policy.get("mode")))
    how = config.get("quantization_config")
    if found is None:
        return layer
    mode, block = found[1] or found[2], int(found[3] or -1)
    # Without a statement, Keras scales the input of int8 by the largest value of each sample.
    ranges: Any = "AbsMaxQuantizer" if mode == "int8" else None
    if isinstance(how, dict) and isinstance(how.get("config"), dict):
        stated = how["config"].get("activation_quantizer")
        ranges = stated.get("class_name") if isinstance(stated, dict) else stated
    kept = {key: value for key, value in config.items() if key not in ("dtype", "quantization_config")}
    return layer | {
        "class_name": QUANTIZED_DENSE,
        "module": None,
        "registered_name": None,
        "config": kept | {"mode": mode, "block_size": block, "activation_quantizer": ranges},
    }


def _registered(entry: dict[str, Any]) -> dict[str, Any]:
    """Without the name under which QKeras v3 has registered its own class; an .h5 file has it as the class's name."""
    module, kind = entry.get("module"), entry.get("class_name")
    if isinstance(kind, str) and kind.startswith(_OF_QKERAS) and module is None:
        return entry | {"class_name": kind.removeprefix(_OF_QKERAS)}
    registered = entry.get("registered_name")
    if isinstance(module, str) and module.startswith("hgq.") and registered == f"{_OF_HGQ2}{kind}":
        return entry | {"module": None, "class_name": registered, "registered_name": None}
    own = isinstance(module, str) and module.startswith("qkeras.")
    if own and entry.get("registered_name") == f"{_OF_QKERAS}{kind}":
        return entry | {"registered_name": None}
    return entry


def _settings(kind: str, config: Mapping[str, Any], depth: int) -> dict[str, Any]:
    renamed = _RENAMED.get(kind, {})
    found: dict[str, Any] = {}
    if kind.startswith(_OF_HGQ2):
        found |= {of: _hgq2_quantizer(config[key]) for key, of in _CONFIGURED.items() if key in config}
        config = {key: value for key, value in config.items() if key not in _CONFIGURED}
    for key, value in config.items():
        if key in _WITHOUT_VALUE and value is None:
            continue
        other = key == "activation" and not kind.startswith("Q") and isinstance(value, str)
        found[renamed.get(key, key)] = _OTHER_FUNCTIONS.get(value, value) if other else _value(value, depth)
    if policy := policy_of(config.get("dtype")):  # what else it holds says how it was quantized
        found = {key: value for key, value in found.items() if key not in _WITHOUT_VALUE} | {"dtype": policy}
    return found


def _hgq2_quantizer(value: Any) -> str | None:
    """A quantizer's configuration as the words that decide what it computes; None without.

    Constraints and regularizers act in training only. Where there is something else, the words are none that are known.
    """
    config = value.get("config") if isinstance(value, dict) else None
    if value is None:
        return None
    words = ("q_type", "round_mode", "overflow_mode", "trainable", "is_weight")
    if not isinstance(config, dict) or any(config.get(key) is not None for key in ("scaler", "affine", "bw_mapper")):
        return "another quantizer"
    return " ".join(shown(config.get(word)).strip("'") for word in words)


def _value(value: Any, depth: int) -> Any:
    """A setting with the objects in it, quantizers and layers among them, in Keras 2's form."""
    if depth > _MAXIMUM_DEPTH:
        raise damaged("its settings nest objects too deeply")
    value = policy_name(value)
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        return value
    entry = _registered(value)
    return entry | {"config": _settings(str(entry.get("class_name")), entry["config"], depth + 1)}


# Calls


def _call(node: Any, layer: Mapping[str, Any], first: Mapping[Any, int]) -> Any:
    """`{"args": [...], "kwargs": {...}}` as Keras 2's list of `[layer, call, output, arguments]`."""
    if not isinstance(node, dict):
        return node
    positional, named = node.get("args"), node.get("kwargs", {})
    if not isinstance(positional, list) or not isinstance(named, dict):
        raise damaged(f"layer {shown(_name(layer))} does not say what it reads")
    arguments = {key: value for key, value in named.items() if value is not None}
    tensors: list[Any] = []
    for argument in positional:
        listed = argument if isinstance(argument, list) else [argument]
        if len(tensors) + len(listed) > MAXIMUM_INPUTS:
            raise damaged(f"layer {shown(_name(layer))} reads more than {MAXIMUM_INPUTS} tensors")
        tensors += [_tensor(item, arguments, first) for item in listed if item is not None]
    return tensors


def _tensor(argument: Any, arguments: Mapping[str, Any], first: Mapping[Any, int]) -> list[Any]:
    config = argument.get("config") if isinstance(argument, dict) else None
    if not isinstance(config, dict) or argument.get("class_name") != "__keras_tensor__":
        return _CONSTANT
    return [*_reference(config.get("keras_history"), lambda name: first.get(name, 0)), dict(arguments)]


def _reference(history: Any, offset: Callable[[str], int]) -> list[Any]:
    if not isinstance(history, list) or len(history) != 3:
        raise damaged(f"a tensor comes from {shown(history)}")
    layer, call, output = history
    if not isinstance(layer, str) or type(call) is not int:
        raise damaged(f"a tensor comes from {shown(history)}")
    return [layer, call + offset(layer), output]


def _outputs(described: Any, layers: list[Any], first: Mapping[Any, int]) -> Any:
    """A model's inputs or outputs; Keras 3 counts calls of Functional models among them from 1 on, as Keras 2 does."""
    models = [layer for layer in layers if isinstance(layer, dict)]
    sequential = {_name(layer) for layer in models if layer.get("class_name") == "Sequential"}
    items = [described] if isinstance(described, list) and described and isinstance(described[0], str) else described
    if not isinstance(items, list) or len(items) > MAXIMUM_INPUTS:
        raise damaged(f"it states {shown(described)} as its inputs or outputs")
    return [_reference(item, lambda name: first[name] if name in sequential else 0) for item in items]
