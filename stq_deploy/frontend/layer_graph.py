"""From the JSON configuration to one flat list of layers in topological order, with all nested models flattened.

The layers of an inner model replace the model where it is applied, under names such as `inner/conv`. A layer or model
that is applied again gives further layers (`conv#2`), which read the same arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import damaged, located, shown, unsupported
from stq_deploy.frontend.model_config import (
    MAXIMUM_LAYERS,
    MAXIMUM_NAME,
    MODEL_KINDS,
    LayerCall,
    ModelConfig,
    read_model_config,
)

MAXIMUM_DEPTH = 16


@dataclass(frozen=True, eq=False)
class LayerConfig:
    """One Keras layer as configured; only its place in the graph has been checked.

    Attributes:
        name: unique within the whole. Untrusted text.
        kind: Keras class name.
        config: its settings, in normal form (`normal_form`).
        inputs: names of the layers it reads. A reader of an inner model's InputLayer reads the layer that the model is
            applied to instead; that InputLayer is listed, and does nothing.
        path: the names of the models that contain the layer, outermost first, then its own name.
        container: the path of the groups under which a .keras file stores its arrays.
        entry: the whole entry that `config` is part of.
        problem: why it cannot be converted, if its place in the graph is the reason.
    """

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...]
    path: tuple[str, ...]
    container: str
    entry: dict[str, Any]
    problem: StqError | None = None


@dataclass(frozen=True, eq=False)
class LayerGraph:
    """Layers in topological order, the input first; and the layers whose values the model returns, in its order."""

    name: str
    layers: tuple[LayerConfig, ...]
    outputs: tuple[str, ...]


def read_layer_graph(config: dict[str, Any]) -> LayerGraph:
    """Flatten a model and check the graph's shape: one input, no cycles, nothing dangling.

    Raises:
        StqError: anything else.
    """
    model = read_model_config(config, nested=False)
    if len(model.inputs) != 1:
        raise StqError(
            f"the model has {len(model.inputs)} inputs, only one is supported",
            next="build a model with a single input from the same layers",
        )
    flat = _Flattening()
    outputs = flat.expand(model, _LayerPath((), ""), (), None)
    if len(set(outputs)) < len(outputs):
        raise StqError("the model returns the value of one layer twice", next="return each layer's value once")
    if flat.layers[0].name in outputs:
        raise StqError("the model returns its own input", next="return what the layers compute, and only that")
    return LayerGraph(model.name, tuple(flat.layers), outputs)


@dataclass(frozen=True)
class _LayerPath:
    """Where a layer or model is: `LayerConfig.path` and `container`."""

    path: tuple[str, ...]
    container: str

    def inside(self, call: LayerCall) -> _LayerPath:
        above = f"{self.container}/" if self.path else ""
        return _LayerPath((*self.path, call.layer.name), f"{above}layers/{call.layer.container}")


class _Flattening:
    """Collects the layers of a model and of all models in it."""

    def __init__(self) -> None:
        self.layers: list[LayerConfig] = []
        self._names: set[str] = set()

    def expand(
        self, model: ModelConfig, place: _LayerPath, inputs: tuple[str, ...], problem: StqError | None
    ) -> tuple[str, ...]:
        """Add a model's layers.

        Args:
            inputs: names of the layers it is applied to; none for the outermost model. The first layer of an inner
                Sequential model may read them without an InputLayer.
            problem: why none of its layers can be converted, if so.

        Returns:
            Names of the layers whose values it returns.
        """
        values: dict[tuple[str, int], tuple[str, ...]] = {}
        for call in model.calls:
            at = place.inside(call)
            sources, unreadable = _sources(call, values)
            refused = problem or call.problem or unreadable
            if call.layer.kind in MODEL_KINDS:
                found = self._expand_inner(call, at, sources or inputs, refused)
            elif inputs and call.layer.name in model.inputs:
                found = (inputs[model.inputs.index(call.layer.name)],)
                self._add(call, at, found, refused)  # checked and listed; nothing reads it
            else:
                found = (self._add(call, at, sources or inputs, refused),)
            values[call.layer.name, call.number] = found
        if any(output.output >= len(values[output.layer, output.call]) for output in model.outputs):
            raise damaged("it returns an output that no layer has")
        return tuple(values[output.layer, output.call][output.output] for output in model.outputs)

    def _expand_inner(
        self, call: LayerCall, place: _LayerPath, inputs: tuple[str, ...], problem: StqError | None
    ) -> tuple[str, ...]:
        if len(place.path) > MAXIMUM_DEPTH:
            raise damaged(f"its models are nested more than {MAXIMUM_DEPTH} deep")
        try:
            model = read_model_config(call.layer.entry, nested=True)
        except StqError as error:
            raise located(error, f"model {shown('/'.join(place.path))}") from error
        if len(inputs) != max(len(model.inputs), 1):
            raise damaged(
                f"model {shown(call.layer.name)} is applied to {len(inputs)} tensors and has {len(model.inputs)} inputs"
            )
        return self.expand(model, place, inputs, problem)

    def _add(self, call: LayerCall, place: _LayerPath, inputs: tuple[str, ...], problem: StqError | None) -> str:
        if len(self.layers) == MAXIMUM_LAYERS:
            raise damaged(f"it has more than {MAXIMUM_LAYERS} layers, those of inner models included")
        layer, name = call.layer, "/".join(place.path)
        if len(name) > MAXIMUM_NAME:
            raise damaged(f"the names of nested layers such as {shown(name)} are too long")
        name = self._unique(name)
        if not name.isprintable():
            problem = unsupported(
                name, layer.kind, "its name has characters that cannot be printed", next="give it an ordinary name"
            )
        self.layers.append(
            LayerConfig(name, layer.kind, layer.config, inputs, place.path, place.container, layer.entry, problem)
        )
        return name

    def _unique(self, name: str) -> str:
        free = name
        number = 1
        while free in self._names:
            number += 1
            free = f"{name}#{number}"
        self._names.add(free)
        return free


def _sources(
    call: LayerCall, values: dict[tuple[str, int], tuple[str, ...]]
) -> tuple[tuple[str, ...], StqError | None]:
    """Names of the layers a call reads, and the problem with one of its references, if any."""
    names: list[str] = []
    problem = None
    for source in call.sources:
        found = values[source.layer, source.call]
        if source.output >= len(found):
            problem = unsupported(
                call.layer.name, call.layer.kind,
                f"it reads output {source.output + 1} of {shown(source.layer)}, which is taken to have {len(found)}",
                next="call it on the only output of an ordinary layer",
            )  # fmt: skip
        names.append(found[min(source.output, len(found) - 1)])
    return tuple(names), problem
