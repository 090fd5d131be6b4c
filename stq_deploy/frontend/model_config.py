"""One level of a model's configuration: its layers, the calls that connect them, its inputs and outputs.

This covers Sequential and Functional models. A layer applied several times has several calls. A nested model is a
layer like any other here; `layer_graph` opens it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import damaged, shown, unsupported
from stq_deploy.frontend.normal_form import normal_settings
from stq_deploy.frontend.origin import MODEL_MODULES, check_origin

MAXIMUM_LAYERS = 1000
MAXIMUM_INPUTS = 256
MAXIMUM_NAME = 256
MODEL_KINDS = ("Sequential", "Functional", "Model")

# Arguments of a call that change nothing at inference.
_WITHOUT_EFFECT: tuple[dict[str, Any], ...] = ({}, {"training": False}, {"training": None})
_SETTINGS = frozenset({"name", "trainable", "layers", "input_layers", "output_layers", "build_input_shape"})
_CONSTANT = ["_CONSTANT_VALUE", -1]  # how Keras begins the reference to a tensor that no layer made


@dataclass(frozen=True, eq=False)
class LayerEntry:
    """A layer as configured; only its name has been checked.

    Attributes:
        name: unique within its model. Untrusted text.
        kind: Keras class name.
        config: its settings, in normal form (`normal_form`).
        container: the name under which its model stores its arrays in a .keras file.
        entry: the whole entry that `config` is part of.
    """

    name: str
    kind: str
    config: dict[str, Any]
    container: str
    entry: dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """A tensor: output number `output`, from 0, of the layer's call number `call`."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One application of a layer to tensors; an InputLayer has one call, without tensors.

    Attributes:
        number: the number by which references name it. Keras counts the call that made a model with input layers but
            leaves it out of the file: the calls of such a layer start at 1, those of all others at 0.
        problem: why the call cannot be converted, if so; the layer is listed in any case.
    """

    layer: LayerEntry
    number: int
    sources: tuple[Reference, ...]
    problem: StqError | None = None


@dataclass(frozen=True, eq=False)
class ModelConfig:
    """A model's calls, inputs first; the names of its InputLayers, in order; and what it returns."""

    name: str
    calls: tuple[LayerCall, ...]
    inputs: tuple[str, ...]
    outputs: tuple[Reference, ...]


def read_model_config(entry: dict[str, Any], *, nested: bool) -> ModelConfig:
    """Check one level's shape: no cycle, nothing dangling, no name used twice.

    Args:
        entry: `{"class_name": ..., "config": {"layers": [...]}}`, as parsed from JSON.
        nested: whether it is a layer of another model, and so need not state its input's shape.

    Raises:
        StqError: anything else.
    """
    kind, settings = entry.get("class_name"), entry.get("config")
    if isinstance(kind, str) and kind not in MODEL_KINDS and not nested:
        raise _subclassed(kind)
    # Keras reads with compile=False, so it ignores how the outermost model was compiled.
    check_origin(entry, MODEL_MODULES, *(() if nested else ("compile_config",)))
    if isinstance(settings, list):  # the oldest Sequential form
        settings = {"layers": settings}
    if not isinstance(settings, dict) or not isinstance(settings.get("layers"), list):
        raise damaged("its configuration lists no layers")
    described = settings["layers"]
    if not 0 < len(described) <= MAXIMUM_LAYERS:
        raise damaged(f"it has {len(described)} layers; 1 to {MAXIMUM_LAYERS} are possible")
    name = settings.get("name")
    name = name if isinstance(name, str) and len(name) <= MAXIMUM_NAME else "model"
    if kind not in MODEL_KINDS:
        raise damaged("it does not say what kind of model it is")
    read = _sequential if kind == "Sequential" else _functional
    model = read(name, described, settings, nested)
    _check_settings(entry, settings, model)
    return model


def _check_settings(entry: dict[str, Any], settings: dict[str, Any], model: ModelConfig) -> None:
    """Check the parts of a model's entry that only Keras reads, when it loads a file that has passed the import."""
    if unknown := settings.keys() - _SETTINGS:
        raise damaged(f"a model has the settings {shown(sorted(unknown))}, which Keras does not write")
    built = entry.get("build_config")
    if built is not None and (not isinstance(built, dict) or built.keys() != {"input_shape"}):
        raise damaged(f"a model was built for {shown(built)}")
    # Keras would make weights for that shape, whatever its size.
    if not model.inputs and (built is not None or settings.get("build_input_shape") is not None):
        raise damaged("it has a Sequential model that was built without an input shape")


def _subclassed(kind: str) -> StqError:
    return StqError(
        f"the model is a subclassed model, of class {shown(kind)}, not a Sequential or Functional model",
        cause="a subclassed model keeps its structure in Python code, which a model file does not hold",
        next="rebuild it with tf_keras.Sequential or the functional API, copy the weights, and save that",
    )


# Layers


def _layers(described: list[Any]) -> list[LayerEntry]:
    counts: Counter[str] = Counter()
    layers = [_layer(item, counts) for item in described]
    repeated = [name for name, n in Counter(layer.name for layer in layers).items() if n > 1]
    if repeated:
        raise damaged(f"two layers are named {shown(repeated[0])}")
    return layers


def _layer(described: Any, counts: Counter[str]) -> LayerEntry:
    if not isinstance(described, dict):
        raise damaged("a layer is not an object")
    kind, config = described.get("class_name"), described.get("config")
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise damaged("a layer has no class or no settings")
    name = config.get("name", described.get("name"))
    if not isinstance(name, str) or not 0 < len(name) <= MAXIMUM_NAME:
        raise damaged(f"a {shown(kind)} layer has no usable name")
    base = _snake_case(kind)
    container = f"{base}_{counts[base]}" if counts[base] else base
    counts[base] += 1
    return LayerEntry(name, kind, normal_settings(kind, config), container, described)


def _snake_case(kind: str) -> str:
    """Keras's rule for container names: QDepthwiseConv2D -> q_depthwise_conv2d; `hgq>QDense` is of a class QDense."""
    name = re.sub(r"\W+", "", kind.rpartition(">")[2])
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _first_call(layer: LayerEntry) -> int:
    """The number of a layer's first call: see `LayerCall.number`."""
    if layer.kind != "Sequential":
        return int(layer.kind in MODEL_KINDS)
    inner = layer.config.get("layers")
    first = inner[0] if isinstance(inner, list) and inner else None
    return int(isinstance(first, dict) and (first.get("class_name") == "InputLayer" or _input_shape(first) is not None))


# Sequential models


def _sequential(name: str, described: list[Any], settings: dict[str, Any], nested: bool) -> ModelConfig:
    layers = _layers(described)
    if layers[0].kind != "InputLayer":
        shape = _input_shape(layers[0].entry)
        if shape is not None:
            layers.insert(0, _implied_input(shape, {layer.name for layer in layers}))
        elif not nested:
            raise damaged("the model has no input shape: it was saved before it was built")
    if any(layer.kind == "InputLayer" for layer in layers[1:]):
        raise damaged("a Sequential model has an InputLayer that is not its first layer")
    calls: list[LayerCall] = []
    last: tuple[Reference, ...] = ()
    for layer in layers:
        calls.append(LayerCall(layer, _first_call(layer), last))
        last = (Reference(layer.name, calls[-1].number),)
    return ModelConfig(name, tuple(calls), (layers[0].name,) if layers[0].kind == "InputLayer" else (), last)


def _input_shape(entry: dict[str, Any]) -> Any:
    """The input shape that a Sequential model's first layer may state instead of an InputLayer; None without."""
    config = entry.get("config")
    return config.get("batch_input_shape") if isinstance(config, dict) else None


def _implied_input(shape: Any, taken: set[str]) -> LayerEntry:
    name = "input"
    while name in taken:
        name += "_"
    config = {"name": name, "batch_input_shape": shape}
    return LayerEntry(name, "InputLayer", config, "input_layer", {"class_name": "InputLayer", "config": config})


# Functional models


def _functional(name: str, described: list[Any], settings: dict[str, Any], nested: bool) -> ModelConfig:
    layers = _layers(described)
    calls: list[LayerCall] = []
    for layer in layers:
        calls += _calls(layer)
        if len(calls) > MAXIMUM_LAYERS:
            raise damaged(f"its layers are applied more than {MAXIMUM_LAYERS} times")
    known = {(call.layer.name, call.number) for call in calls}
    for call in calls:
        for source in call.sources:
            _check_known(source, known, f"layer {shown(call.layer.name)} reads")
    outputs = _tensors(settings.get("output_layers"), "outputs")
    for output in outputs:
        _check_known(output, known, "it returns")
    inputs = tuple(reference.layer for reference in _tensors(settings.get("input_layers"), "inputs"))
    if sorted(inputs) != sorted(layer.name for layer in layers if layer.kind == "InputLayer"):
        raise damaged("what it names as its inputs are not its InputLayers")
    return ModelConfig(name, _in_order(calls), inputs, outputs)


def _check_known(reference: Reference, known: set[tuple[str, int]], who: str) -> None:
    if (reference.layer, reference.call) not in known:
        of = f"call {reference.call} of {shown(reference.layer)}" if reference.call else shown(reference.layer)
        raise damaged(f"{who} {of}, which does not exist")


def _calls(layer: LayerEntry) -> list[LayerCall]:
    nodes = layer.entry.get("inbound_nodes")
    if not isinstance(nodes, list):
        raise damaged(f"layer {shown(layer.name)} does not say what it reads")
    if layer.kind == "InputLayer":
        return [LayerCall(layer, 0, ())]
    if not nodes:
        raise damaged(f"layer {shown(layer.name)} is never applied")
    first = _first_call(layer)
    return [_call(layer, first + i, node) for i, node in enumerate(nodes[: MAXIMUM_LAYERS + 1])]


def _call(layer: LayerEntry, number: int, node: Any) -> LayerCall:
    """One call, from its list of `[layer, call, output, arguments]`, or from one of these if there is only one."""
    tensors = [node] if isinstance(node, list) and node and isinstance(node[0], str) else node
    if not isinstance(tensors, list) or not 0 < len(tensors) <= MAXIMUM_INPUTS:
        raise damaged(f"layer {shown(layer.name)} does not say what it reads")
    sources: list[Reference] = []
    problem = ""
    for tensor in tensors:
        if isinstance(tensor, list) and tensor[:2] == _CONSTANT:
            problem = "one of its inputs is a constant"
            continue
        source = _reference(tensor, (3, 4))
        if source is None:
            raise damaged(f"layer {shown(layer.name)} does not say what it reads")
        sources.append(source)
        if tensor[3:] not in ([], *([arguments] for arguments in _WITHOUT_EFFECT)):
            problem = f"it is called with the arguments {shown(tensor[3])}"
    error = unsupported(layer.name, layer.kind, problem, next="call it as layer(x)") if problem else None
    return LayerCall(layer, number, tuple(sources), error)


def _reference(described: Any, lengths: tuple[int, ...]) -> Reference | None:
    """`[layer, call, output, ...]` as a reference; None if it is something else."""
    if not isinstance(described, list) or len(described) not in lengths:
        return None
    layer, call, output = described[:3]
    if not isinstance(layer, str) or type(call) is not int or type(output) is not int or output < 0:
        return None
    return Reference(layer, call, output)


def _tensors(described: Any, what: str) -> tuple[Reference, ...]:
    """A model's inputs or outputs, from `[[layer, call, output], ...]`, or from one of these if there is only one."""
    items = [described] if isinstance(described, list) and described and isinstance(described[0], str) else described
    found = [_reference(item, (3,)) for item in items] if isinstance(items, list) else []
    if not 0 < len(found) <= MAXIMUM_INPUTS or None in found:
        raise damaged(f"it does not say what its {what} are")
    return tuple(reference for reference in found if reference is not None)


def _in_order(calls: list[LayerCall]) -> tuple[LayerCall, ...]:
    """Topological order; among calls whose inputs are ready, the first in the file comes first."""
    place = {(call.layer.name, call.number): i for i, call in enumerate(calls)}
    readers: dict[int, list[int]] = {i: [] for i in range(len(calls))}
    missing = []
    for i, call in enumerate(calls):
        sources = {place[source.layer, source.call] for source in call.sources}
        missing.append(len(sources))
        for source in sources:
            readers[source].append(i)
    ready = [i for i, n in enumerate(missing) if n == 0]  # ascending, hence a heap
    ordered: list[LayerCall] = []
    while ready:
        i = heappop(ready)
        ordered.append(calls[i])
        for reader in readers[i]:
            missing[reader] -= 1
            if missing[reader] == 0:
                heappush(ready, reader)
    if len(ordered) < len(calls):
        stuck = next(call for call, n in zip(calls, missing, strict=True) if n)
        raise damaged(f"layer {shown(stuck.layer.name)} reads, in the end, its own output")
    return tuple(ordered)
