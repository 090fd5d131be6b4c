"""Take over another model's weights, layer by layer, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.quantizers.factory import load_model


def warm_start(model: Any, path: Path) -> None:
    """Copy every weight of the model file `path` into `model`. Raises StqError unless all layers match."""
    if not path.is_file():
        raise StqError("no model to start from", where=str(path), next="give a .h5 file written by an earlier run")
    try:
        source = load_model(str(path))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StqError("cannot read the model to start from", where=str(path), cause=str(error)) from error
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
                where=str(path),
                cause=f"needed {wanted}, found {found or 'no such layer'}",
            )
        layer.set_weights(values)
