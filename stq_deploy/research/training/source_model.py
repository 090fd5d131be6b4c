"""Model files that a run starts from: initial weights, and a teacher to distil from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tf_keras

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import check_model
from stq_deploy.frontend.keras_model import build_keras_model
from stq_deploy.zoo.shipped import resolve_model


@dataclass(frozen=True, eq=False)
class SourceModel:
    """A model read from a file.

    Attributes:
        keras: the tf_keras Model; layers of inner models are layers of it, named `inner/layer`.
        sha256: SHA-256 (hex) of the bytes that were read.
    """

    keras: Any
    sha256: str


def read_model(name_or_path: str) -> SourceModel:
    """The Keras model in a file or of a zoo name, built from checked values in one reading of the file.

    Raises StqError if there is none, or it is damaged or not on the allow-list.
    """
    path = resolve_model(name_or_path, keras=True)
    checked = check_model(path)
    return SourceModel(build_keras_model(checked, str(path)), checked.file["sha256"])


def take_weights(model: Any, name_or_path: str) -> SourceModel:
    """Copy every weight of that model into `model`, layer by layer, by name; return that model.

    Counters of training steps (QConv2DBatchnorm has one) restart.

    Raises StqError unless all layers match.
    """
    source = read_model(name_or_path)
    theirs = {layer.name: layer.get_weights() for layer in source.keras.layers if layer.weights}
    for name, layer in _innermost(model):
        if not layer.weights:
            continue
        values = theirs.get(name)
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = None if values is None else [value.shape for value in values]
        if values is None or found != wanted:
            raise StqError(
                f"the model to start from does not fit at layer {name!r}",
                where=name_or_path,
                cause=f"needed {wanted}, found {found or 'no such layer'}: it is another network, or was trained on "
                "samples of another shape",
                next="start from a model of this network and data set, --warm-start MODEL.h5",
            )
        layer.set_weights(values)
    return source


def _innermost(model: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Layers that are not models; those of inner models by their path."""
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model):
            yield from _innermost(layer, f"{above}{layer.name}/")
        else:
            yield above + layer.name, layer


def read_teacher(name_or_path: str, model: Any) -> SourceModel:
    """A teacher for `model`. Raises StqError also if its input or classes differ."""
    teacher = read_model(name_or_path)
    for what, theirs, ours in (
        ("input", teacher.keras.input_shape, model.input_shape),
        ("output", teacher.keras.output_shape, model.output_shape),
    ):
        if theirs != ours:
            raise StqError(
                f"the teacher's {what} has shape {theirs}, this network's {ours}",
                where=name_or_path,
                cause="it was trained on another data set",
            )
    return teacher
