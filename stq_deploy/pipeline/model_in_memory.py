"""A Keras model in memory -> the integer network."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network
from stq_deploy.pipeline.options import Conversion
from stq_deploy.pipeline.pipeline import Pipeline


def convert_keras_model(
    model: Any, conversions: Iterable[Conversion] = (Conversion(),), pipeline: Pipeline | None = None
) -> Network:
    """The integer network of a Keras model, or of a model file.

    The function saves the model to a file, because the import checks files. So every model takes the same path.

    Args:
        conversions: options to try in order; the next one where sums would leave 32 bits.
        pipeline: gives all options except the conversion.

    Raises:
        StqError: a layer or setting that cannot be converted, or a model that cannot be saved.
    """
    chosen = pipeline or Pipeline()
    if isinstance(model, str):
        return _first(model, conversions, chosen)
    with saved_model(model) as path:
        return _first(path, conversions, chosen)


@contextmanager
def saved_model(model: Any) -> Iterator[Path]:
    """A Keras model as a temporary file, for the time of a `with` block; errors within name the model, not the file.

    Raises:
        StqError: the model cannot be saved.
    """
    with tempfile.TemporaryDirectory(prefix="stq-model-") as folder:
        path = Path(folder) / "model.h5"
        _save(model, path)
        try:
            yield path
        except StqError as error:
            where = error.where.replace(str(path), f"Keras model {model.name!r}")
            raise StqError(error.what, where=where, cause=error.cause, next=error.next) from error


def _save(model: Any, path: Path) -> None:
    """Write a model file.

    Raises:
        StqError: Keras cannot save a model of this kind, or the model is not a Keras model.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras calls the form legacy; the file is temporary
            model.save(path, include_optimizer=False)
    except Exception as error:  # the caller's own layers may raise anything
        raise StqError(
            f"the model cannot be saved: {error}",
            where=f"{type(model).__name__} in memory",
            cause="it is a subclassed model, holds layers of its own, or is not a Keras model",
            next="build it from Keras or QKeras layers as a Functional or Sequential model",
        ) from error


def _first(path: str | os.PathLike[str], conversions: Iterable[Conversion], pipeline: Pipeline) -> Network:
    """The network of the first conversion whose sums fit."""
    refused = None
    for conversion in conversions:
        try:
            return replace(pipeline, conversion=conversion).convert(path)
        except StqError as error:
            if "exceed 32 bits" not in error.what:
                raise
            refused = refused or error
    assert refused is not None
    raise refused
