"""Keras's .h5 and .keras files as a `ModelFormat`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import KERAS, STQ, file_kind, weights_alone
from stq_deploy.common.untrusted_json import parse_json
from stq_deploy.frontend.checked import CheckedModel
from stq_deploy.frontend.errors import damaged
from stq_deploy.frontend.formats.interface import FileFacts, FileForm, ModelFormat, OpenedModel, SupportColumn
from stq_deploy.frontend.formats.keras.arrays import array_reader, number_counter
from stq_deploy.frontend.formats.keras.keras_3 import as_keras_2, has_quantized_layers, is_keras_3
from stq_deploy.frontend.formats.keras.limits import HDF5_MAGIC, METADATA, NO_MODEL, ZIP_MAGIC
from stq_deploy.frontend.formats.keras.walk import ImportWalk
from stq_deploy.frontend.layer_graph import LayerGraph, read_layer_graph
from stq_deploy.frontend.layers.hgq2 import PREFIX as HGQ2
from stq_deploy.frontend.layers.settings import QUANTIZED_DENSE
from stq_deploy.frontend.parsed import ListedModel, ParsedModel
from stq_deploy.sandbox import Contents, Unusable, read_contents

_H5 = FileForm("h5", "an HDF5 file", (".h5", ".hdf5"))
_KERAS = FileForm("keras", "a .keras archive", (".keras",))
KERAS_2, KERAS_3 = "Keras 2", "Keras 3"
_EXTRACTOR = "stq_deploy.frontend.formats.keras.extract"
_VERSION = re.compile(r"[\w.+-]{1,40}", re.ASCII)
_MEMBERS = (b"config.json", b"model.weights.h5")


class KerasFormat(ModelFormat):
    """Models that Keras or QKeras has saved whole."""

    forms = (_H5, _KERAS)

    def detect(self, content: bytes) -> FileForm | None:
        if content.startswith(HDF5_MAGIC):
            return _H5
        return _KERAS if content.startswith(ZIP_MAGIC) and _is_archive(content) else None

    def open(self, content: bytes, form: FileForm, name: str, sha256: str) -> KerasModel:
        try:
            found = read_contents(content, _EXTRACTOR)
        except Unusable as error:
            raise weights_alone() if NO_MODEL in str(error) else damaged(str(error)) from error
        return KerasModel(found, FileFacts(name, sha256, form.name, KERAS_2, *_writer(found)))

    def columns(self) -> tuple[SupportColumn, ...]:
        from stq_deploy.frontend.formats.keras.described import operators

        found = operators()
        of_keras_2 = {step: tuple(kind for kind in kinds if not _of_keras_3(kind)) for step, kinds in found.items()}
        of_keras_3 = {
            step: (*(["those of Keras 2"] if of_keras_2[step] else []), *(kind for kind in kinds if _of_keras_3(kind)))
            for step, kinds in found.items()
        }
        return (
            SupportColumn("Keras 2 and QKeras 0.9", of_keras_2),
            SupportColumn("Keras 3, QKeras v3, HGQ2", of_keras_3),
        )


def _is_archive(content: bytes) -> bool:
    """Whether a ZIP archive is of Keras: by the name of its first member, or where that is another, of any."""
    kind = file_kind(content, "")
    first = "" if kind is None else kind.form
    return first == KERAS or (first != STQ and any(member in content for member in _MEMBERS))


def _of_keras_3(kind: str) -> bool:
    """Whether it is one of the layers that only Keras 3 runs, of HGQ2 or quantized by Keras itself."""
    return kind.startswith(HGQ2) or kind == QUANTIZED_DENSE


class KerasModel(OpenedModel):
    """The content of one .h5 or .keras file.

    Attributes:
        config: `{"class_name": ..., "config": {...}}`, as parsed from JSON. Untrusted.
    """

    def __init__(self, found: Contents, facts: FileFacts) -> None:
        self.facts, self.config = _of_generation(facts, _json(found.config))
        if facts.form == "h5" and f'"{HGQ2}' in found.config:
            raise StqError(
                "the model is of HGQ2, which is read from .keras files only",
                cause="an .h5 file does not say which quantizer a width belongs to",
                next="save it with model.save('model.keras')",
            )
        self.runs_in_keras = f'"{HGQ2}' not in found.config and not has_quantized_layers(found.config)
        self._read_arrays = array_reader(found, facts.form)
        self._count_numbers = number_counter(found, facts.form)

    def list_layers(self) -> ListedModel:
        graph, walk = self._walk()
        return ListedModel(graph.name, [walk.try_to_take(layer) for layer in graph.layers])

    def parse(self, *, post_training: bool) -> ParsedModel:
        graph, walk = self._walk()
        walk.take_all(graph)
        if walk.float_error is not None and not post_training:
            raise walk.float_error
        return walk.finish(graph, self.facts)

    def check(self) -> CheckedModel:
        graph, walk = self._walk()
        walk.take_all(graph)
        if other := next((layer for layer in graph.layers if _of_keras_3(layer.kind)), None):
            raise StqError(
                "the model is of HGQ2, and tf_keras has no such layers"
                if other.kind.startswith(HGQ2)
                else "Keras 3 has quantized layers of the model, and tf_keras has no such layers",
                next="convert it, and give the network (.stq); its float model runs in NumPy (--float-engine numpy)",
            )
        return CheckedModel(
            graph.name, self.facts.to_json(), walk.input_shape, walk.float_error, tuple(walk.checked), graph.outputs
        )

    def _walk(self) -> tuple[LayerGraph, ImportWalk]:
        return read_layer_graph(self.config), ImportWalk(self._read_arrays, self._count_numbers)


def _of_generation(facts: FileFacts, config: dict[str, Any]) -> tuple[FileFacts, dict[str, Any]]:
    """The facts and the configuration in Keras 2's form, whichever Keras has written it."""
    if not is_keras_3(config):
        return facts, config
    return replace(facts, format=KERAS_3), as_keras_2(config)


def _writer(found: Contents) -> tuple[str, str]:
    """(who has written the file, in which version), as far as it states them."""
    version = found.facts.get("keras_version", "")
    try:
        stated = parse_json(found.facts.get(METADATA, "{}"))
    except (ValueError, RecursionError):
        stated = {}
    if isinstance(stated, dict):
        version = stated.get("keras_version", version)
    version = version if isinstance(version, str) and _VERSION.fullmatch(version) else ""
    return ("Keras", version) if version else ("", "")


def _json(text: str) -> dict[str, Any]:
    try:
        config = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise damaged(f"its configuration is not JSON ({str(error)[:200]})") from error
    if not isinstance(config, dict):
        raise damaged("its configuration is not an object")
    return config
