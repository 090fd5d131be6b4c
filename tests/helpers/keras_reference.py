"""What Keras itself makes of a model file that the test has just written, or that comes with the package.

The package never asks Keras to read a file (tests/test_architecture.py); tests do, to compare.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = list[npt.NDArray[Any]]


def load_with_keras(path: str | os.PathLike[str]) -> Any:
    """The tf_keras Model that Keras and QKeras read. Only for files whose every byte is the test's own."""
    import tf_keras
    from qkeras.utils import _add_supported_quantized_objects

    from stq_deploy.research.quantizers.exact import keep_order_of_additions

    keep_order_of_additions()
    objects: dict[str, Any] = {}
    _add_supported_quantized_objects(objects)
    return tf_keras.models.load_model(os.fspath(path), custom_objects=objects, compile=False)


def outputs_of(model: Any, x: npt.NDArray[np.float32]) -> Arrays:
    """Every output of a Keras model, as TensorFlow computes it eagerly, at inference."""
    found = model(x, training=False)
    return [output.numpy() for output in (found if isinstance(found, list) else [found])]


def assert_equal_outputs(ours: Any, theirs: Any, count: int = 3) -> None:
    """Both models give the very same bits for the same random samples."""
    x = np.random.default_rng(3).normal(0, 2, (count, *ours.input_shape[1:])).astype(np.float32)
    for a, b in zip(outputs_of(ours, x), outputs_of(theirs, x), strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)
