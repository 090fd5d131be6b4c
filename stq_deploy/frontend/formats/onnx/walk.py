"""Translates the nodes of an ONNX graph one after the other into nodes of a `SourceGraph`."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.frontend.errors import shown
from stq_deploy.frontend.formats.onnx.errors import damaged_onnx, refused
from stq_deploy.frontend.formats.onnx.graph import OnnxGraph, OnnxInput, OnnxNode
from stq_deploy.frontend.formats.onnx.layout import is_channels_last
from stq_deploy.frontend.formats.onnx.operators import ONNX, OPERATORS, QONNX_DOMAINS, REFUSED, Operator
from stq_deploy.frontend.formats.onnx.reader import MAXIMUM_TENSOR, Built, NodeReader
from stq_deploy.frontend.formats.onnx.values import (
    IMAGE_RANK,
    ROW_RANK,
    Numbers,
    OnnxValue,
    Tensor,
    is_stored_so,
    stored_index,
    stored_shape,
)
from stq_deploy.frontend.layer_table import NOT_REACHED, description
from stq_deploy.frontend.source import InputNode, ReshapeNode
from stq_deploy.network.source_layer import InspectedLayer

_MAXIMUM_NAME = 256
_OLDEST_OPSET = 7
_INITIALIZER = "initializer/"
_FEATURES_RANK = 2


class OnnxWalk:
    """Translates one node after the other, and keeps the value that each name stands for.

    Attributes:
        built: the nodes so far, with their weights.
        rows: for `inspect`.
        float_error: the error about the first floating-point weights.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.built = Built()
        self.rows: list[InspectedLayer] = []
        self.float_error: StqError | None = None
        self.batch: int | None = None
        self._values: dict[str, OnnxValue] = {}
        self._constants = {
            path.removeprefix(_INITIALIZER): path for path in graph.arrays if path.startswith(_INITIALIZER)
        }
        self._names: set[str] = set()
        self._unread = Counter(name for node in graph.nodes for name in node.inputs)
        self._unread.update(output.name for output in graph.outputs)

    def take_input(self) -> None:
        """Add the model's only input.

        Raises:
            StqError: there are several, or it is not a float32 tensor of a fixed shape.
        """
        found = [each for each in self.graph.inputs if each.name not in self._constants]
        if len(found) != 1:
            raise StqError(
                f"the model has {len(found)} inputs, only one is supported",
                next="export a model with a single input from the same layers",
            )
        given = found[0]
        self._check_opset()
        rank = len(given.shape)
        where = f"input {shown(given.name)}"
        if given.type != "float32":
            raise StqError(
                f"the model's input is of the type {given.type}",
                where=where,
                next="export the model with an input of float32; a quantizer may follow it",
            )
        if rank not in (_FEATURES_RANK, ROW_RANK, IMAGE_RANK):
            raise StqError(
                f"the model's input has {rank} axes",
                where=where,
                next="export it with the batch and features, or the batch, channels, height and width",
            )
        open_axes = [i for i, n in enumerate(given.shape) if n is None and i > 0]
        if open_axes:
            raise StqError(
                f"axis {open_axes[0]} of the model's input is not fixed",
                where=where,
                next="export it with fixed sizes; only the batch axis may be open",
            )
        shape = (1, *(n for n in given.shape[1:] if n is not None))
        if math.prod(shape) > MAXIMUM_TENSOR:
            raise StqError(f"the model's input has the shape {shape}", where=where, next="use smaller inputs")
        self.batch = given.shape[0]
        self._values[given.name] = self._input(given, shape)

    def _input(self, given: OnnxInput, shape: tuple[int, ...]) -> Tensor:
        name = self._unique(given.name, "input")
        last = is_channels_last(self.graph, given)
        layout = ""
        if len(shape) == _FEATURES_RANK:
            index = stored_index(shape)
            stored = stored_shape(shape)
        elif last:
            stored = shape[1:] if len(shape) == IMAGE_RANK else (1, *shape[1:])
            index = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
            layout = "channels last, in the file too"
        else:
            stored, index = stored_shape(shape), stored_index(shape)
            layout = "channels first in the file, last here"
        self.built.nodes.append(InputNode(name, (), stored if len(shape) != ROW_RANK else stored[1:]))
        position = 0
        if len(shape) == ROW_RANK:
            self.built.nodes.append(ReshapeNode(name, (0,), stored))
            position = 1
        quantizers = {"layout": layout} if layout else {}
        node = self.built.nodes[0]
        self.rows.append(InspectedLayer(name, "Input", (shape[1:],), node.shape, quantizers))
        return Tensor(position, index)

    def _check_opset(self) -> None:
        version = self.graph.opsets.get(ONNX)
        if version is not None and version < _OLDEST_OPSET:
            raise StqError(
                f"the model is of ONNX's operator set {version}",
                next=f"export it with operator set {_OLDEST_OPSET} or later",
            )

    def take_all(self) -> None:
        """Translate every node.

        Raises:
            StqError: one is not on the allow-list. Floating-point weights set `float_error` instead.
        """
        for node in self.graph.nodes:
            self.take(node)

    def try_to_take(self, node: OnnxNode) -> None:
        """As `take`, but an error becomes the node's row."""
        known = [self._values[name] for name in node.inputs if name in self._values]
        reached = all(name in self._values or name in self._constants or not name for name in node.inputs)
        try:
            _operator(node)
            if reached:
                self.take(node)
                return
            problem = NOT_REACHED
        except StqError as error:
            problem = description(error)
        shapes = tuple(self.built.nodes[value.position].shape for value in known if isinstance(value, Tensor))
        self.rows.append(
            InspectedLayer(self._unique(node.name, node.op), shown(node.op)[1:-1], shapes, problem=problem)
        )

    def take(self, node: OnnxNode) -> None:
        """Translate one node whose inputs have been translated.

        Raises:
            StqError: it cannot be converted.
        """
        operator = _operator(node)
        values = [self._value(node, name) for name in node.inputs]
        of_tensors = any(isinstance(value, Tensor) for value in values)
        name = self._unique(node.name, node.op) if of_tensors else node.name
        named = OnnxNode(node.op, node.domain, name, node.inputs, node.outputs, node.attributes)
        opset = self.graph.opsets.get(node.domain, 1)
        reader = NodeReader(named, opset, values, self._array, self.built, self.batch)
        if not of_tensors and not operator.of_constants:
            raise reader.error("it reads constants alone", "export the model with constant folding")
        results = operator.handler(reader)
        reader.check_attributes()
        for output, value in zip(node.outputs, results, strict=False):
            if output in self._values or output in self._constants:
                raise damaged_onnx(f"the value {shown(output)} is computed twice")
            if output:
                self._values[output] = value
        self.float_error = self.float_error or reader.float_error
        if of_tensors:
            self._list(reader, values, results)
        self._forget(node)

    def _list(self, reader: NodeReader, values: list[OnnxValue | None], results: tuple[OnnxValue, ...]) -> None:
        inputs = tuple(self.built.nodes[v.position].shape for v in values if isinstance(v, Tensor))
        result = results[0]
        shape = self.built.nodes[result.position].shape if isinstance(result, Tensor) else None
        self.rows.append(
            InspectedLayer(
                reader.name, reader.node.op, inputs, shape, reader.quantizers, reader.parameters, reader.macs,
                tuple(bits for bits, _ in reader.weights),
                sum(-(-bits * size // 8) for bits, size in reader.weights), floating=description(reader.float_error),
            )
        )  # fmt: skip

    def _forget(self, node: OnnxNode) -> None:
        """Drop values that nothing reads any more: they may be large."""
        self._unread.subtract(node.inputs)
        for name in {*node.inputs, *node.outputs}:
            if self._unread[name] <= 0:
                self._values.pop(name, None)

    def _value(self, node: OnnxNode, name: str) -> OnnxValue | None:
        if not name:
            return None
        if name in self._values:
            return self._values[name]
        path = self._constants.get(name)
        if path is None:
            raise damaged_onnx(
                f"node {shown(node.name)} reads the value {shown(name)}, which nothing computes before it"
            )
        return Numbers(self._array(path), self.graph.types.get(path, ""))

    def _array(self, path: str) -> npt.NDArray[Any]:
        values = self.graph.arrays.get(path, "is missing")
        if isinstance(values, str):
            raise StqError(
                f"the tensor {shown(path.partition('/')[2])} {values}",
                cause="the model was saved with external data, or in a type that is not read",
                next="save it with all its weights inside, in float32",
            )
        return values

    def outputs(self) -> tuple[int, ...]:
        """Positions of the values that the model returns.

        Raises:
            StqError: one is a constant, an integer, the input itself, or lies in another order than it is stored in.
        """
        found: list[int] = []
        if not self.graph.outputs:
            raise damaged_onnx("it returns nothing")
        for output in self.graph.outputs:
            found.append(self._output(output))
        if len(set(found)) < len(found):
            raise StqError("the model returns one value twice", next="return each value once")
        return tuple(found)

    def _output(self, output: OnnxInput) -> int:
        where = f"output {shown(output.name)}"
        tensor = self._values.get(output.name)
        if not isinstance(tensor, Tensor):
            raise StqError("the model returns a constant", where=where, next="return what the layers compute")
        if tensor.levels is not None:
            raise StqError(
                "the model returns integers that QuantizeLinear has written",
                where=where,
                next="let DequantizeLinear follow it",
            )
        if isinstance(self.built.nodes[tensor.position], InputNode):
            raise StqError("the model returns its own input", where=where, next="return what the layers compute")
        # An image lies with its channels last, whether they are first or last in ONNX's tensor.
        in_order = np.array_equal(tensor.index.ravel(), np.arange(tensor.index.size))
        image = len(tensor.shape) in (ROW_RANK, IMAGE_RANK) and is_stored_so(tensor)
        if not (in_order or image):
            raise StqError(
                "the model returns its values in another order than the network stores them in",
                where=where,
                cause="an image is flattened, or transposed, at the end",
                next="return the image itself: its channels are last in the network",
            )
        shape = stored_shape(tensor.shape) if image else tensor.shape[1:] or (1,)
        if self.built.nodes[tensor.position].shape == shape:
            return tensor.position
        self.built.nodes.append(ReshapeNode(self.built.nodes[tensor.position].layer, (tensor.position,), shape))
        return len(self.built.nodes) - 1

    def _unique(self, name: str, op: str) -> str:
        plain = name if name.isprintable() and 0 < len(name) <= _MAXIMUM_NAME else f"{shown(op)[1:-1]}_{len(self.rows)}"
        free, number = plain, 1
        while free in self._names:
            number += 1
            free = f"{plain}#{number}"
        self._names.add(free)
        return free


def _operator(node: OnnxNode) -> Operator:
    """The operator of a node.

    Raises:
        StqError: it is not on the allow-list.
    """
    found = OPERATORS.get((node.domain, node.op))
    if found is not None:
        return found
    if node.domain not in (ONNX, *QONNX_DOMAINS):
        raise refused(
            node.name, node.op, f"it is of the domain {shown(node.domain)}, which is not read",
            "use the operators of ONNX, and QONNX's Quant, BipolarQuant and Trunc",
        )  # fmt: skip
    reason, instead = REFUSED.get(node.op, ("the operator is not supported", "see docs/SUPPORT.md for those that are"))
    raise refused(node.name, node.op, reason, instead)
