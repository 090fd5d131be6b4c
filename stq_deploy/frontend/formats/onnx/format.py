"""ONNX files as a `ModelFormat`: models with QONNX's quantizers, with QuantizeLinear, and of floating-point numbers."""

from __future__ import annotations

import importlib.util
import inspect

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import ONNX as ONNX_FORM
from stq_deploy.common.file_kinds import file_kind
from stq_deploy.common.installation import how_to_install
from stq_deploy.frontend.formats.interface import (
    AcceptedOperators,
    FileFacts,
    FileForm,
    ModelFormat,
    OpenedModel,
    RefusedOperators,
    SupportColumn,
)
from stq_deploy.frontend.formats.onnx.errors import damaged_onnx
from stq_deploy.frontend.formats.onnx.graph import OnnxGraph, read_graph
from stq_deploy.frontend.formats.onnx.operators import OPERATORS, QONNX_DOMAINS, REFUSED, OnnxHandler
from stq_deploy.frontend.formats.onnx.walk import OnnxWalk
from stq_deploy.frontend.parsed import ListedModel, ParsedModel
from stq_deploy.sandbox import Unusable, read_contents

_FORM = FileForm(ONNX_FORM, "an ONNX file", (".onnx",))
_EXTRACTOR = "stq_deploy.frontend.formats.onnx.extract"
_MOST_WRITER = 40
_TITLE = "ONNX and QONNX"


class OnnxFormat(ModelFormat):
    """Models as exporters for PyTorch, Brevitas, qonnx and onnxruntime write them."""

    forms = (_FORM,)

    def detect(self, content: bytes) -> FileForm | None:
        kind = file_kind(content, "")
        return _FORM if kind is not None and kind.form == ONNX_FORM else None

    def open(self, content: bytes, form: FileForm, name: str, sha256: str) -> OnnxModel:
        if importlib.util.find_spec("onnx") is None:
            raise StqError(
                "reading an ONNX file needs the package onnx, which is not installed", next=how_to_install("onnx")
            )
        try:
            found = read_contents(content, _EXTRACTOR)
        except Unusable as error:
            raise damaged_onnx(str(error)) from error
        return OnnxModel(read_graph(found), form, name, sha256)

    def columns(self) -> tuple[SupportColumn, ...]:
        operators: dict[str, tuple[str, ...]] = {"Input": ("the graph's input",)}
        for (domain, op), operator in sorted(OPERATORS.items()):
            if domain in ("", QONNX_DOMAINS[0]):
                for node in operator.becomes:
                    kind = node.__name__.removesuffix("Node")
                    operators[kind] = (*operators.get(kind, ()), op)
        return (SupportColumn(_TITLE, operators),)

    def accepted(self) -> tuple[AcceptedOperators, ...]:
        names: dict[OnnxHandler, list[str]] = {}
        for (domain, op), operator in sorted(OPERATORS.items()):
            if domain in ("", QONNX_DOMAINS[0]):
                names.setdefault(operator.handler, []).append(op)
        return tuple(
            AcceptedOperators(_TITLE, tuple(of), inspect.cleandoc(handler.__doc__ or ""))
            for handler, of in names.items()
        )

    def refused(self) -> tuple[RefusedOperators, ...]:
        names: dict[tuple[str, str], list[str]] = {}
        for op, reason in REFUSED.items():
            names.setdefault(reason, []).append(op)
        return tuple(RefusedOperators(_TITLE, tuple(of), *reason) for reason, of in names.items())


class OnnxModel(OpenedModel):
    """The content of one ONNX file."""

    def __init__(self, graph: OnnxGraph, form: FileForm, name: str, sha256: str) -> None:
        self._graph = graph
        self.facts = FileFacts(
            name, sha256, form.name, _format_name(graph), _plain(graph.producer), _plain(graph.producer_version)
        )

    def list_layers(self) -> ListedModel:
        walk = OnnxWalk(self._graph)
        walk.take_input()
        for node in self._graph.nodes:
            walk.try_to_take(node)
        return ListedModel(self._graph.name, walk.rows)

    def parse(self, *, post_training: bool) -> ParsedModel:
        walk = OnnxWalk(self._graph)
        walk.take_input()
        walk.take_all()
        outputs = walk.outputs()
        if walk.float_error is not None and not post_training:
            raise walk.float_error
        built = walk.built
        return ParsedModel(
            tuple(built.nodes), outputs, built.float_kernels, {}, {}, self._graph.name, self.facts.to_json(),
            tuple(walk.rows), built.integer_kernels, built.biases,
        )  # fmt: skip


def _format_name(graph: OnnxGraph) -> str:
    """The format with its generation, for people."""
    version = graph.opsets.get("", 1)
    if any(node.domain in QONNX_DOMAINS for node in graph.nodes):
        return f"QONNX, operator set {version}"
    if any(node.op in ("QuantizeLinear", "DequantizeLinear") for node in graph.nodes):
        return f"ONNX with QuantizeLinear, operator set {version}"
    return f"ONNX, operator set {version}"


def _plain(text: str) -> str:
    """A text of the file, where it is short and printable; else nothing."""
    return text if text.isascii() and text.isprintable() and len(text) <= _MOST_WRITER else ""
