"""Chooses what computes the float model: Keras where TensorFlow is installed, else NumPy."""

from __future__ import annotations

import importlib.util

from stq_deploy.evaluation.float_model_file import FloatModelFile
from stq_deploy.frontend.importer import ModelSource
from stq_deploy.pipeline import Conversion

AUTO, KERAS, NUMPY = "auto", "keras", "numpy"
ENGINES = (AUTO, KERAS, NUMPY)
NAMES = {KERAS: "Keras", NUMPY: "NumPy"}
"""Engine -> its name for people."""
_NEEDED = ("tensorflow", "tf_keras", "qkeras")


def open_float_model(source: ModelSource, conversion: Conversion | None = None, engine: str = AUTO) -> FloatModelFile:
    """The float model of a Keras or QKeras file.

    Args:
        source, conversion: see `FloatModelFile`.
        engine: one of `ENGINES`; "auto" is Keras where its packages are installed, and NumPy elsewhere.

    Raises:
        StqError: the file is unusable or not supported, or Keras was asked for and is not installed.
    """
    if engine == KERAS or (engine == AUTO and keras_is_installed()):
        from stq_deploy.evaluation.float_model import FloatModel

        return FloatModel(source, conversion)
    from stq_deploy.evaluation.numpy_float_model import NumpyFloatModel

    return NumpyFloatModel(source, conversion)


def keras_is_installed() -> bool:
    """Whether the packages that run a QKeras model are there; imports none of them."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)
