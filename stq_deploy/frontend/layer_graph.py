"""From the JSON configuration to layers in topological order; Sequential and Functional models alike."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import damaged, shown, unsupported
from stq_deploy.frontend.origin import MODEL_MODULES, check_origin

MAXIMUM_LAYERS = 1000
MAXIMUM_NAME = 256


@dataclass(frozen=True)
class LayerConfig:
    """One Keras layer as configured, nothing checked but its place in the graph.

    Attributes:
        name: unique within the model. Untrusted text.
        kind: Keras class name.
        config: its settings, as parsed from JSON.
        inputs: names of the layers it reads.
        container: the name under which a .keras file stores its arrays.
        entry: the whole entry that `config` is part of.
    """

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...]
    container: str
    entry: dict[str, Any]


@dataclass(frozen=True)
class LayerGraph:
    """Layers in topological order, and the one whose value the model returns."""

    name: str
    layers: tuple[LayerConfig, ...]
    output: str


def read_layer_graph(config: dict[str, Any]) -> LayerGraph:
    """Check the graph's shape: one input, one output, no cycles, nothing dangling.

    Raises:
        StqError: anything else.
    """
    kind, inner = config.get("class_name"), config.get("config")
    check_origin(config, MODEL_MODULES)
    if isinstance(inner, list):  # the oldest Sequential form
        inner = {"layers": inner}
    if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
        raise damaged("its configuration lists no layers")
    described = inner["layers"]
    if not 0 < len(described) <= MAXIMUM_LAYERS:
        raise damaged(f"it has {len(described)} layers; 1 to {MAXIMUM_LAYERS} are possible")
    name = inner.get("name", "model")
    name = name if isinstance(name, str) and len(name) <= MAXIMUM_NAME else "model"
    if kind == "Sequential":
        layers = _sequential(described)
        return LayerGraph(name, layers, layers[-1].name)
    if kind in ("Functional", "Model"):
        layers = _in_order(_functional(described))
        return LayerGraph(name, layers, _only_output(inner, layers))
    raise StqError(
        f"the model is a {shown(kind)}, not a Sequential or Functional model",
        cause="a subclassed model keeps its structure in Python code, which a model file does not hold",
        next="rebuild it with tf_keras.Sequential or the functional API, copy the weights, and save that",
    )


def _layer(described: Any, inputs: tuple[str, ...], counts: Counter[str]) -> LayerConfig:
    if not isinstance(described, dict):
        raise damaged("a layer is not an object")
    kind, config = described.get("class_name"), described.get("config")
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise damaged("a layer has no class or no settings")
    name = config.get("name", described.get("name"))
    if not isinstance(name, str) or not 0 < len(name) <= MAXIMUM_NAME:
        raise damaged(f"a {shown(kind)} layer has no usable name")
    if kind in ("Sequential", "Functional", "Model"):
        raise unsupported(
            name, kind, "a model nested inside the model is not supported",
            next="build the model flat: call the inner model's layers one after another",
        )  # fmt: skip
    base = _snake_case(kind)
    container = f"{base}_{counts[base]}" if counts[base] else base
    counts[base] += 1
    return LayerConfig(name, kind, config, inputs, container, described)


def _snake_case(kind: str) -> str:
    """Keras's rule for container names: QDepthwiseConv2D -> q_depthwise_conv2d."""
    name = re.sub(r"\W+", "", kind)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _sequential(described: list[Any]) -> tuple[LayerConfig, ...]:
    counts: Counter[str] = Counter()
    layers: list[LayerConfig] = []
    for item in described:
        if not layers and isinstance(item, dict) and item.get("class_name") != "InputLayer":
            layers.append(_implied_input(item))
        layers.append(_layer(item, (layers[-1].name,) if layers else (), counts))
    _check_names(layers)
    return tuple(layers)


def _implied_input(first: dict[str, Any]) -> LayerConfig:
    """A Sequential model may state its input shape in its first layer instead of an InputLayer."""
    config = first.get("config")
    shape = config.get("batch_input_shape") if isinstance(config, dict) else None
    if shape is None:
        raise damaged("the model has no input shape: it was saved before it was built")
    settings = {"name": "input", "batch_input_shape": shape}
    return LayerConfig("input", "InputLayer", settings, (), "input_layer", {"class_name": "InputLayer"})


def _functional(described: list[Any]) -> list[LayerConfig]:
    counts: Counter[str] = Counter()
    layers = [_layer(item, (), counts) for item in described]
    _check_names(layers)
    known = {layer.name for layer in layers}
    return [replace(layer, inputs=_inbound(layer, item, known)) for layer, item in zip(layers, described, strict=True)]


def _check_names(layers: list[LayerConfig]) -> None:
    repeated = [name for name, n in Counter(layer.name for layer in layers).items() if n > 1]
    if repeated:
        raise damaged(f"two layers are named {shown(repeated[0])}")


def _inbound(layer: LayerConfig, described: dict[str, Any], known: set[str]) -> tuple[str, ...]:
    nodes = described.get("inbound_nodes")
    if not isinstance(nodes, list):
        raise damaged(f"layer {shown(layer.name)} does not say what it reads")
    if layer.kind == "InputLayer":
        return ()
    if len(nodes) != 1:
        raise unsupported(
            layer.name, layer.kind, f"the layer is applied {len(nodes)} times, only once is supported",
            next="use a layer of its own at each place",
        )  # fmt: skip
    if isinstance(nodes[0], dict):
        raise StqError(
            "the model file is of Keras 3, whose graph form is not supported",
            next="save the model with tf_keras 2 (TF_USE_LEGACY_KERAS=1), which qkeras 0.9 needs anyway",
        )
    if not isinstance(nodes[0], list) or not nodes[0]:
        raise damaged(f"layer {shown(layer.name)} does not say what it reads")
    return tuple(_source(layer, call, known) for call in nodes[0])


def _source(layer: LayerConfig, call: Any, known: set[str]) -> str:
    if not isinstance(call, list) or len(call) not in (3, 4) or not isinstance(call[0], str):
        raise damaged(f"layer {shown(layer.name)} does not say what it reads")
    name, node, tensor, *arguments = str(call[0]), *call[1:]
    if name not in known:
        raise damaged(f"layer {shown(layer.name)} reads {shown(name)}, which does not exist")
    if [node, tensor] != [0, 0] or arguments not in ([], [{}]):
        raise unsupported(
            layer.name, layer.kind, f"it is called with arguments or on a special output: {shown(call)}",
            next="call it as layer(x), on the only output of an ordinary layer",
        )  # fmt: skip
    return name


def _in_order(layers: list[LayerConfig]) -> tuple[LayerConfig, ...]:
    """Topological order, keeping the file's order where it is one already."""
    done: set[str] = set()
    ordered: list[LayerConfig] = []
    waiting = layers
    while waiting:
        ready = [layer for layer in waiting if all(name in done for name in layer.inputs)]
        if not ready:
            raise damaged(f"layer {shown(waiting[0].name)} reads, in the end, its own output")
        # One pass takes every layer whose inputs precede it, so files written in order need a single pass.
        rest = []
        for layer in waiting:
            if all(name in done for name in layer.inputs):
                done.add(layer.name)
                ordered.append(layer)
            else:
                rest.append(layer)
        waiting = rest
    return tuple(ordered)


def _only_output(inner: dict[str, Any], layers: tuple[LayerConfig, ...]) -> str:
    """The name of the only output layer, after checking that there is one input and one output."""
    names = {what: _named_layers(inner.get(f"{what}_layers"), what) for what in ("input", "output")}
    for what, found in names.items():
        if len(found) != 1:
            raise StqError(
                f"the model has {len(found)} {what}s, only one is supported",
                next=f"build a model with a single {what} from the same layers",
            )
    (name,) = names["output"]
    if name not in {layer.name for layer in layers}:
        raise damaged(f"its output is layer {shown(name)}, which does not exist")
    return name


def _named_layers(entries: Any, what: str) -> list[str]:
    """Layer names of `[[name, node, tensor], ...]`; a single entry may stand without the outer list."""
    if isinstance(entries, list) and entries and isinstance(entries[0], str):
        entries = [entries]
    if not isinstance(entries, list) or not all(isinstance(e, list) and e and isinstance(e[0], str) for e in entries):
        raise damaged(f"it does not say what its {what}s are")
    return [str(entry[0]) for entry in entries]
