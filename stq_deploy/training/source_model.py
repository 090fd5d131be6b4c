"""Model files that a run builds on: weights to start from, and a teacher to distil from."""

from __future__ import annotations

from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.frontend import check_model
from stq_deploy.quantizers.factory import load_model
from stq_deploy.zoo.shipped import resolve_model


def read_model(name_or_path: str) -> Any:
    """The Keras model in a file, or of a zoo name.

    Raises StqError if there is none, or it is damaged or holds something that is not on the allow-list: Keras would run
    what a file tells it to.
    """
    path = resolve_model(name_or_path, keras=True)
    check_model(path)
    try:
        return load_model(str(path))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StqError("cannot read the model to start from", where=str(path), cause=str(error)) from error


def take_weights(model: Any, name_or_path: str) -> Any:
    """Copy every weight of that model into `model`, layer by layer, by name; return that model.

    Raises StqError unless all layers match.
    """
    source = read_model(name_or_path)
    theirs = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    for layer in model.layers:
        if not layer.weights:
            continue
        values = theirs.get(layer.name)
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = None if values is None else [value.shape for value in values]
        if values is None or found != wanted:
            raise StqError(
                f"the model to start from does not fit at layer {layer.name!r}",
                where=name_or_path,
                cause=f"needed {wanted}, found {found or 'no such layer'}",
            )
        layer.set_weights(values)
    return source


def read_teacher(name_or_path: str, model: Any) -> Any:
    """A model to distil from into `model`. Raises StqError also if its input or classes are other ones."""
    teacher = read_model(name_or_path)
    for what, theirs, ours in (
        ("input", teacher.input_shape, model.input_shape),
        ("output", teacher.output_shape, model.output_shape),
    ):
        if theirs != ours:
            raise StqError(
                f"the teacher's {what} has shape {theirs}, this network's {ours}",
                where=name_or_path,
                cause="it was trained on another data set",
            )
    return teacher
