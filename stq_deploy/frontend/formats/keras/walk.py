"""Translates the layers of a Keras model one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.checked import CheckedLayer
from stq_deploy.frontend.errors import damaged
from stq_deploy.frontend.formats.interface import FileFacts
from stq_deploy.frontend.formats.keras.arrays import ArrayReader, Shapes
from stq_deploy.frontend.layer_graph import LayerConfig, LayerGraph
from stq_deploy.frontend.layer_table import (
    NOT_REACHED,
    description,
    supported_row,
    unsupported_row,
)
from stq_deploy.frontend.layers import LayerReader, handler_for
from stq_deploy.frontend.objects import check_build, check_objects
from stq_deploy.frontend.parsed import ParsedModel
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import FloatBias, FloatKernel, IntegerKernel, Node
from stq_deploy.network.source_layer import InspectedLayer


class ImportWalk:
    """Translates one layer after the other, and keeps the position of each layer's output."""

    def __init__(self, read_arrays: ArrayReader, count_numbers: Callable[[tuple[str, ...], str], int]) -> None:
        self._read_arrays = read_arrays
        self._count_numbers = count_numbers
        self.nodes: list[Node] = []
        self.kernels: dict[int, FloatKernel] = {}
        self.integer_kernels: dict[int, IntegerKernel] = {}
        self.biases: dict[int, FloatBias] = {}
        self.numbers: dict[int, dict[str, Quantizer]] = {}
        self.rows: list[InspectedLayer] = []
        self.checked: list[CheckedLayer] = []
        self.position: dict[str, int] = {}
        self.float_error: StqError | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the model's input, once its layers are taken."""
        return self.nodes[0].shape

    def take_all(self, graph: LayerGraph) -> None:
        """Translate every layer.

        Raises:
            StqError: one is not on the allow-list. Floating-point weights set `float_error` instead.
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
            return self._read_arrays(layer.path, layer.container, shapes)

        reader = LayerReader(layer, inputs, arrays, len(self.nodes))
        handler(reader)
        reader.finish()
        self.nodes += reader.nodes
        self.kernels |= reader.kernels
        self.integer_kernels |= reader.integer_kernels
        self.biases |= reader.biases
        self.numbers |= reader.numbers
        # The InputLayer of an inner model adds nothing.
        self.position[layer.name] = len(self.nodes) - 1 if reader.nodes else inputs[0][0]
        self.float_error = self.float_error or reader.float_error
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
        return unsupported_row(layer, inputs, self._count_numbers(layer.path, layer.container), problem)

    def finish(self, graph: LayerGraph, facts: FileFacts) -> ParsedModel:
        """The model, once all its layers are taken."""
        return ParsedModel(
            tuple(self.nodes), tuple(self.position[name] for name in graph.outputs), self.kernels, self.biases,
            self.numbers, graph.name, facts.to_json(), tuple(self.rows), self.integer_kernels,
        )  # fmt: skip
