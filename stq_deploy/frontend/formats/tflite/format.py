"""TensorFlow Lite's .tflite files as a `ModelFormat`."""

from __future__ import annotations

from dataclasses import replace

from stq_deploy.common.errors import printable
from stq_deploy.frontend.formats.interface import FileFacts, FileForm, ModelFormat, OpenedModel, SupportColumn
from stq_deploy.frontend.formats.tflite.errors import damaged
from stq_deploy.frontend.formats.tflite.graph import Graph, read_graph
from stq_deploy.frontend.formats.tflite.operators import HANDLERS
from stq_deploy.frontend.formats.tflite.schema import IDENTIFIER, VERSION
from stq_deploy.frontend.formats.tflite.walk import Walk
from stq_deploy.frontend.parsed import ListedModel, ParsedModel
from stq_deploy.sandbox import Contents, Unusable, read_contents

_FORM = FileForm("tflite", "a TensorFlow Lite model", (".tflite", ".lite"))
_EXTRACTOR = "stq_deploy.frontend.formats.tflite.extract"
_SHOWN_WRITER = 80
NAME = "TensorFlow Lite"


class TfliteFormat(ModelFormat):
    """Models that TensorFlow Lite's converter has written: of int8 or int4, or of floating-point numbers."""

    forms = (_FORM,)

    def detect(self, content: bytes) -> FileForm | None:
        return _FORM if content[4:8] == IDENTIFIER else None

    def open(self, content: bytes, form: FileForm, name: str, sha256: str) -> TfliteModel:
        try:
            found = read_contents(content, _EXTRACTOR)
        except Unusable as error:
            raise damaged(str(error)) from error
        return TfliteModel(found, FileFacts(name, sha256, form.name, NAME))

    def columns(self) -> tuple[SupportColumn, ...]:
        found: dict[str, list[str]] = {}
        for kind, handler in HANDLERS.items():
            for step in dict.fromkeys((*(handler.floats or ()), *(handler.integers or ()))):
                found.setdefault(step, []).append(kind)
        return (SupportColumn(NAME, {step: tuple(kinds) for step, kinds in found.items()}),)


class TfliteModel(OpenedModel):
    """The content of one .tflite file."""

    def __init__(self, found: Contents, facts: FileFacts) -> None:
        self.graph: Graph = read_graph(found)
        if self.graph.version != VERSION:
            raise damaged(f"it is of version {self.graph.version} of TensorFlow Lite's files, not {VERSION}")
        writer = printable(self.graph.description)[:_SHOWN_WRITER].rstrip(".")
        self.facts = replace(facts, writer=writer)

    def list_layers(self) -> ListedModel:
        return Walk(self.graph, HANDLERS).listed()

    def parse(self, *, post_training: bool) -> ParsedModel:
        walk = Walk(self.graph, HANDLERS)
        walk.run()
        if walk.float_error is not None and not post_training:
            raise walk.float_error
        return walk.parsed(self.facts)
