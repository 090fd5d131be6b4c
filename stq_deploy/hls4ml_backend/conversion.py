"""A Keras model in memory -> the integer network."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.network import Network
from stq_deploy.passes import convert_model


def convert_keras_model(model: Any) -> Network:
    """The integer network of a Keras model, or of the model file at a path, which hls4ml takes too; imports TensorFlow.

    The model goes through a file because a file is what the import checks: one way in, one arithmetic.

    Raises:
        StqError: a layer or setting that cannot be converted.
    """
    if isinstance(model, str):
        return convert_model(model)
    with tempfile.TemporaryDirectory(prefix="stq-hls4ml-") as folder:
        path = Path(folder) / "model.h5"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras calls the form legacy; it lives for a moment
            model.save(path, include_optimizer=False)
        try:
            return convert_model(path)
        except StqError as error:
            where = error.where.replace(str(path), f"Keras model {model.name!r}")
            raise StqError(error.what, where=where, cause=error.cause, next=error.next) from error
