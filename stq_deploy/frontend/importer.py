"""The whole import: open the file, order the layers, check and translate each, quantize the weights."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.checked import CheckedLayer, CheckedModel
from stq_deploy.frontend.errors import damaged, located
from stq_deploy.frontend.fold import folded_bias
from stq_deploy.frontend.integer_kernels import integer_kernel, undecided_biases, undecided_weights
from stq_deploy.frontend.layer_graph import LayerConfig, LayerGraph, read_layer_graph
from stq_deploy.frontend.layer_table import (
    NOT_REACHED,
    InspectedLayer,
    description,
    half_precision_remark,
    supported_row,
    unsupported_row,
)
from stq_deploy.frontend.layers import LayerReader, handler_for
from stq_deploy.frontend.model_file import ModelFile, Shapes, open_model_file
from stq_deploy.frontend.objects import check_build, check_objects
from stq_deploy.frontend.quantizer_values import quantized_numbers, with_quantized_numbers
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import DepthwiseNode, FloatBias, FloatKernel, Node, SourceGraph


@dataclass(frozen=True, eq=False)
class ParsedModel:
    """A checked model whose weights are still floats; nodes and positions as in `SourceGraph`.

    Attributes:
        numbers: position of a node with quantized numbers -> field -> quantizer.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    kernels: dict[int, FloatKernel]
    biases: dict[int, FloatBias]
    numbers: dict[int, dict[str, Quantizer]]
    name: str
    file: dict[str, str]
    table: tuple[InspectedLayer, ...]


ModelSource = str | os.PathLike[str] | ModelFile
"""A path, or a file that was read already, which is not read again."""


def check_model(source: ModelSource) -> CheckedModel:
    """Read and check a Keras or QKeras model file that is to be run unconverted; needs no TensorFlow.

    Raises:
        StqError: unreadable, damaged, or with a layer or setting that is not on the allow-list.
    """
    with _opened(source) as (graph, walk):
        walk.take_all(graph)
        return CheckedModel(
            graph.name, walk.file.facts, walk.input_shape, walk.obstacle, tuple(walk.checked), graph.outputs
        )


def parse_model(source: ModelSource, *, post_training: bool = False) -> ParsedModel:
    """Read and check a Keras or QKeras model file; needs no TensorFlow.

    Args:
        post_training: accept floating-point weights, as kernels without a quantizer.

    Raises:
        StqError: unreadable, damaged, or with a layer or setting that cannot be converted (the first one, named).
    """
    with _opened(source) as (graph, walk):
        walk.take_all(graph)
        if walk.obstacle is not None and not post_training:
            raise walk.obstacle
        return walk.finish(graph)


def list_layers(source: ModelSource) -> tuple[str, dict[str, str], list[InspectedLayer]]:
    """(model name, file facts, every layer with what is wrong with it); needs no TensorFlow.

    Unlike `parse_model` it continues after an unsupported layer.

    Raises:
        StqError: the file is unreadable or damaged.
    """
    with _opened(source) as (graph, walk):
        rows = [walk.try_to_take(layer) for layer in graph.layers]
        return graph.name, walk.file.facts, rows


def half_precision_note(source: ModelSource) -> str:
    """The note about a model whose layers Keras computes in 16 bits; "" for others, and for a .stq network.

    Raises:
        StqError: as `list_layers`.
    """
    if not isinstance(source, ModelFile) and Path(source).suffix.lower() == ".stq":
        return ""
    return half_precision_remark(row.half_precision for row in list_layers(source)[2])


def read_source(source: ModelSource, *, post_training: bool = False) -> SourceGraph:
    """Read, check and quantize a model file; needs no TensorFlow.

    Args:
        post_training: quantize floating-point weights to int8 per channel; without it they are an error.

    Raises:
        StqError: as `parse_model`.
    """
    parsed = parse_model(source, post_training=post_training)
    try:
        kernels = {
            at: integer_kernel(kernel, parsed.nodes[at].layer, isinstance(parsed.nodes[at], DepthwiseNode))
            for at, kernel in parsed.kernels.items()
        }
        biases = {
            at: quantized_numbers(folded_bias(bias), bias.quantizer, parsed.nodes[at].layer)
            for at, bias in parsed.biases.items()
        }
        nodes = tuple(with_quantized_numbers(node, parsed.numbers.get(at, {})) for at, node in enumerate(parsed.nodes))
        undecided = _undecided(parsed)
    except StqError as error:
        raise located(error, str(path_of(source))) from error
    return SourceGraph(
        nodes,
        parsed.outputs,
        kernels,
        biases,
        parsed.name,
        parsed.file,
        [replace(row, undecided=undecided[row.name]).to_json() for row in parsed.table],
    )


def _undecided(parsed: ParsedModel) -> Counter[str]:
    """Numbers by layer that TensorFlow may quantize otherwise on another processor."""
    found: Counter[str] = Counter()
    for at, kernel in parsed.kernels.items():
        node = parsed.nodes[at]
        found[node.layer] += undecided_weights(kernel, node.layer, isinstance(node, DepthwiseNode))
    for at, bias in parsed.biases.items():
        found[parsed.nodes[at].layer] += undecided_biases(bias, parsed.nodes[at].layer)
    return found


@contextmanager
def _opened(source: ModelSource) -> Iterator[tuple[LayerGraph, _ImportWalk]]:
    """The file's layers, and the walk that translates them; every StqError within names the file."""
    file = source if isinstance(source, ModelFile) else open_model_file(Path(source))
    try:
        yield read_layer_graph(file.config), _ImportWalk(file)
    except StqError as error:
        raise located(error, str(file.path)) from error


def path_of(source: ModelSource) -> Path:
    """Path of the file, at the time it was read."""
    return source.path if isinstance(source, ModelFile) else Path(source)


class _ImportWalk:
    """Translates one layer after the other, and keeps the position of each layer's output."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.nodes: list[Node] = []
        self.kernels: dict[int, FloatKernel] = {}
        self.biases: dict[int, FloatBias] = {}
        self.numbers: dict[int, dict[str, Quantizer]] = {}
        self.rows: list[InspectedLayer] = []
        self.checked: list[CheckedLayer] = []
        self.position: dict[str, int] = {}
        self.obstacle: StqError | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the model's input, once its layers are taken."""
        return self.nodes[0].shape

    def take_all(self, graph: LayerGraph) -> None:
        """Translate every layer.

        Raises:
            StqError: one is not on the allow-list. Floating-point weights are not an error here but an `obstacle`.
        """
        for layer in graph.layers:
            self.take(layer)

    def take(self, layer: LayerConfig) -> InspectedLayer:
        """Translate one layer whose inputs have been translated.

        Raises:
            StqError: it cannot be converted.
        """
        handler = handler_for(layer.name, layer.kind)
        if layer.problem is not None:
            raise layer.problem
        check_objects(layer)
        inputs = [(self.position[name], self.nodes[self.position[name]].shape) for name in layer.inputs]
        if not inputs and layer.kind != "InputLayer":
            raise damaged("a layer reads nothing")
        check_build(layer)

        def arrays(shapes: Shapes) -> dict[str, Any]:
            check_build(layer, inputs[0][1][-1])
            return self.file.read_arrays(layer.path, layer.container, shapes)

        reader = LayerReader(layer, inputs, arrays, len(self.nodes))
        handler(reader)
        reader.finish()
        self.nodes += reader.nodes
        self.kernels |= reader.kernels
        self.biases |= reader.biases
        self.numbers |= reader.numbers
        # The InputLayer of an inner model adds nothing.
        self.position[layer.name] = len(self.nodes) - 1 if reader.nodes else inputs[0][0]
        self.obstacle = self.obstacle or reader.obstacle
        self.checked.append(
            CheckedLayer(layer.name, layer.kind, layer.path, layer.inputs, reader.checked, reader.stored, reader.unread)
        )
        row = supported_row(layer, reader, self.nodes[self.position[layer.name]].shape)
        self.rows.append(row)
        return row

    def try_to_take(self, layer: LayerConfig) -> InspectedLayer:
        """As `take`, but an error goes into the row."""
        try:
            handler_for(layer.name, layer.kind)
            if layer.problem is not None:
                raise layer.problem
            if all(name in self.position for name in layer.inputs):
                return self.take(layer)
            problem = NOT_REACHED
        except StqError as error:
            problem = description(error)
        known = (self.position[name] for name in layer.inputs if name in self.position)
        inputs = tuple(self.nodes[position].shape for position in known)
        return unsupported_row(layer, inputs, self.file.count_numbers(layer.path, layer.container), problem)

    def finish(self, graph: LayerGraph) -> ParsedModel:
        return ParsedModel(
            tuple(self.nodes), tuple(self.position[name] for name in graph.outputs), self.kernels, self.biases,
            self.numbers, graph.name, self.file.facts, tuple(self.rows),
        )  # fmt: skip
