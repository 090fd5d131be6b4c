"""The import as a whole: open, order, let each layer's handler check and translate it, quantize the weights."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import damaged, located
from stq_deploy.frontend.layer_graph import LayerConfig, LayerGraph, read_layer_graph
from stq_deploy.frontend.layers import LayerReader, handler_for
from stq_deploy.frontend.model_file import ModelFile, open_model_file
from stq_deploy.frontend.objects import check_objects
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import DepthwiseNode, FloatArray, FloatKernel, Node, SourceGraph


@dataclass(frozen=True)
class LayerRow:
    """What `inspect` shows of one Keras layer.

    Attributes:
        name, type: the layer's name and Keras class. Untrusted text.
        shape: of its output, or None where an earlier layer is not supported.
        quantizers: role ("kernel", "activation", ...) -> quantizer.
        parameters: numbers stored for it. macs: multiply-accumulates per inference.
        problem: why it cannot be converted, or "".
    """

    name: str
    type: str
    shape: tuple[int, ...] | None = None
    quantizers: dict[str, str] = field(default_factory=dict)
    parameters: int = 0
    macs: int = 0
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The row as JSON-able values."""
        return asdict(self) | {"shape": None if self.shape is None else list(self.shape)}


@dataclass(frozen=True, eq=False)
class ParsedModel:
    """A checked model whose weights are still floats; nodes and positions as in `SourceGraph`."""

    nodes: tuple[Node, ...]
    output: int
    kernels: dict[int, FloatKernel]
    biases: dict[int, tuple[FloatArray, Quantizer | None]]
    name: str
    file: dict[str, str]
    table: tuple[LayerRow, ...]


def parse_model(path: str | os.PathLike[str]) -> ParsedModel:
    """Read and check a QKeras model file; needs no TensorFlow.

    Raises:
        StqError: unreadable, damaged, or with a layer or setting that cannot be converted (the first one, named).
    """
    path = Path(path)
    try:
        with open_model_file(path) as file:
            graph = read_layer_graph(file.config)
            walk = _Walk(file)
            for layer in graph.layers:
                walk.take(layer)
            return walk.finish(graph)
    except StqError as error:
        raise located(error, str(path)) from error


def list_layers(path: str | os.PathLike[str]) -> tuple[str, dict[str, str], list[LayerRow]]:
    """(model name, file facts, every layer with what is wrong with it); needs no TensorFlow.

    Unlike `parse_model` it goes on after an unsupported layer.

    Raises:
        StqError: the file is unreadable or damaged.
    """
    path = Path(path)
    try:
        with open_model_file(path) as file:
            graph = read_layer_graph(file.config)
            walk = _Walk(file)
            rows = [walk.try_to_take(layer) for layer in graph.layers]
            return graph.name, file.facts, rows
    except StqError as error:
        raise located(error, str(path)) from error


def read_source(path: str | os.PathLike[str]) -> SourceGraph:
    """Read, check and quantize a QKeras model file: imports TensorFlow and qkeras for the weight quantizers.

    Raises:
        StqError: as `parse_model`; or qkeras is not installed.
    """
    parsed = parse_model(path)
    try:
        from stq_deploy.frontend.integer_kernels import exact_bias, integer_kernel

        kernels = {
            at: integer_kernel(kernel, parsed.nodes[at].layer, isinstance(parsed.nodes[at], DepthwiseNode))
            for at, kernel in parsed.kernels.items()
        }
        biases = {at: exact_bias(*bias, parsed.nodes[at].layer) for at, bias in parsed.biases.items()}
    except StqError as error:
        raise located(error, str(path)) from error
    except ImportError as error:
        raise StqError(
            f"converting a QKeras model needs TensorFlow and qkeras ({error})",
            where=str(path),
            next="install them with `pip install stq-deploy[train]`, or give a converted .stq network",
        ) from error
    return SourceGraph(
        parsed.nodes,
        parsed.output,
        kernels,
        biases,
        parsed.name,
        parsed.file,
        [row.to_json() for row in parsed.table],
    )


class _Walk:
    """Translates layer after layer, keeping where each layer's output is."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.nodes: list[Node] = []
        self.kernels: dict[int, FloatKernel] = {}
        self.biases: dict[int, tuple[FloatArray, Quantizer | None]] = {}
        self.rows: list[LayerRow] = []
        self.position: dict[str, int] = {}

    def take(self, layer: LayerConfig) -> LayerRow:
        """Translate one layer whose inputs have been translated.

        Raises:
            StqError: it cannot be converted.
        """
        handler = handler_for(layer.name, layer.kind)
        check_objects(layer)
        inputs = [(self.position[name], self.nodes[self.position[name]].shape) for name in layer.inputs]
        if not inputs and layer.kind != "InputLayer":
            raise damaged("a layer reads nothing")

        def arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
            return self.file.read_arrays(layer.name, layer.container, shapes)

        reader = LayerReader(layer, inputs, arrays, len(self.nodes))
        handler(reader)
        reader.finish()
        self.nodes += reader.nodes
        self.kernels |= reader.kernels
        self.biases |= reader.biases
        self.position[layer.name] = len(self.nodes) - 1
        row = LayerRow(layer.name, layer.kind, self.nodes[-1].shape, reader.quantizers, reader.parameters, reader.macs)
        self.rows.append(row)
        return row

    def try_to_take(self, layer: LayerConfig) -> LayerRow:
        """As `take`, but what is wrong goes into the row."""
        try:
            handler_for(layer.name, layer.kind)
            if any(name not in self.position for name in layer.inputs):
                return LayerRow(layer.name, layer.kind, problem="not checked: an earlier layer is not supported")
            return self.take(layer)
        except StqError as error:
            return LayerRow(layer.name, layer.kind, problem=f"{error.what}; {error.next}" if error.next else error.what)

    def finish(self, graph: LayerGraph) -> ParsedModel:
        return ParsedModel(
            tuple(self.nodes), self.position[graph.output], self.kernels, self.biases, graph.name,
            self.file.facts, tuple(self.rows),
        )  # fmt: skip
