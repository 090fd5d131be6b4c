"""Chooses what computes the float model: Keras for its own models where TensorFlow is installed, else NumPy."""

from __future__ import annotations

import importlib.util

from stq_deploy.evaluation.float_model_file import FloatModelFile
from stq_deploy.frontend.importer import ModelSource, path_of
from stq_deploy.frontend.model_file import ModelFile, open_model_file
from stq_deploy.pipeline import Conversion
from stq_deploy.pipeline.steps import is_converted

AUTO, KERAS, NUMPY = "auto", "keras", "numpy"
ENGINES = (AUTO, KERAS, NUMPY)
NAMES = {KERAS: "Keras", NUMPY: "NumPy"}
"""Engine -> its name for people."""
_NEEDED = ("tensorflow", "tf_keras", "qkeras")


def open_float_model(source: ModelSource, conversion: Conversion | None = None, engine: str = AUTO) -> FloatModelFile:
    """The float model of a model file of any format.

    Args:
        source, conversion: see `FloatModelFile`.
        engine: one of `ENGINES`; "auto" is Keras for its models where its packages are installed, and NumPy elsewhere.

    Raises:
        StqError: the file is unusable or not supported; or Keras was asked for, and is absent or does not run it.
    """
    opened = _opened(source)
    keras_runs_it = not isinstance(opened, ModelFile) or opened.model.runs_in_keras
    if engine == KERAS or (engine == AUTO and keras_runs_it and keras_is_installed()):
        from stq_deploy.evaluation.float_model import FloatModel

        return FloatModel(opened, conversion)
    from stq_deploy.evaluation.numpy_float_model import NumpyFloatModel

    return NumpyFloatModel(opened, conversion)


def _opened(source: ModelSource) -> ModelSource:
    """The file, read once; the path of a .stq network stays one, because its refusal says more."""
    return source if isinstance(source, ModelFile) or is_converted(source) else open_model_file(path_of(source))


def keras_is_installed() -> bool:
    """Whether the packages that run a QKeras model are there; imports none of them."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)
