"""A Keras model in TensorFlow: the one a network was converted from, seeing exactly what the network sees.

Or one with floating-point weights, from which no network can be made: it sees pixels of 8 bits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.errors import StqError
from stq_deploy.evaluation.scores import Classes, classes_of
from stq_deploy.frontend import check_model
from stq_deploy.network import Network
from stq_deploy.network.input_format import InputFormat, dequantize_input
from stq_deploy.network.tensor import TensorType
from stq_deploy.passes import Conversion, convert_model
from stq_deploy.tensorflow_import import import_tensorflow

BATCH = 128

Levels = npt.NDArray[np.integer[Any]]


def pixel_input(shape: tuple[int, ...]) -> TensorType:
    """Input levels of a model with floating-point weights: the 256 values u/255 of a pixel, 0 .. 1."""
    return TensorType(shape, "int8", -128, 127, 1 / 255, -128)


class FloatModel:
    """A Keras or QKeras model file, checked against the import's allow-list before Keras may deserialise it.

    Args:
        path: .h5 or .keras.
        conversion: how to make a network of it.

    Attributes:
        keras: the tf_keras Model.
        path: of the file.
        name: its name.
        file_sha256: SHA-256 (hex) of the file.

    Raises:
        StqError: the file is unusable or not supported, or TensorFlow is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], conversion: Conversion | None = None) -> None:
        if Path(path).suffix.lower() == ".stq":
            raise StqError(
                "a converted network holds no float model",
                where=str(path),
                next="give the QKeras model (.h5 or .keras) it was converted from",
            )
        checked = check_model(path)
        import_tensorflow("running a QKeras model", where=str(path))
        from stq_deploy.quantizers.factory import load_model

        self.keras = load_model(os.fspath(path))
        self.path = Path(path)
        self.name = checked.name
        self.file_sha256 = checked.file["sha256"]
        self._convertible = checked.obstacle is None or (
            conversion is not None and conversion.post_training is not None
        )
        self._conversion = conversion
        self._input_shape = checked.input_shape

    @cached_property
    def network(self) -> Network | None:
        """The integer network converted from it; None with floating-point weights, unless `conversion` quantizes them.

        Raises:
            StqError: it cannot be converted.
        """
        return convert_model(self.path, self._conversion) if self._convertible else None

    @property
    def input_format(self) -> InputFormat:
        """How it sees samples: as the integer network does, or as pixels of 8 bits if there is none."""
        return InputFormat(pixel_input(self._input_shape)) if self.network is None else self.network.input_format

    @property
    def model_hash(self) -> str | None:
        """`Network.sha256()` of the integer network; None if there is none."""
        return None if self.network is None else self.network.sha256()

    def logits(self, levels: Levels, input_type: TensorType) -> npt.NDArray[np.float32]:
        """Logits (N, K) of input levels (N, *input shape) of this type."""
        from stq_deploy.attacks.classifier import logits_model

        parts = list(self._run(logits_model(self.keras), levels, input_type))
        return np.concatenate(parts)

    def classes(self, levels: Levels, input_type: TensorType) -> Classes:
        """Predicted classes (N,)."""
        return classes_of(self.logits(levels, input_type))

    def layer_outputs(
        self, levels: Levels, input_type: TensorType, layers: Sequence[str]
    ) -> list[npt.NDArray[np.float32]]:
        """The outputs (N, ...) of the Keras layers named, in their order.

        Raises:
            StqError: the model has no such layer.
        """
        import tf_keras

        known = {layer.name: layer for layer in self.keras.layers}
        for name in layers:
            if name not in known:
                raise StqError(
                    f"the QKeras model has no layer {name!r}",
                    cause="the network was converted from another model",
                    next="convert the model again",
                )
        outputs = [known[name].output for name in layers]
        view = tf_keras.Model(self.keras.input, outputs)
        batches = list(self._run(view, levels, input_type))
        if len(layers) == 1:  # Keras gives a single output without a list around it
            batches = [[batch] for batch in batches]
        return [np.concatenate([np.asarray(batch[i]) for batch in batches]) for i in range(len(layers))]

    def _run(self, model: Any, levels: Levels, input_type: TensorType) -> Any:
        import tensorflow as tf

        forward = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
        x = dequantize_input(levels, input_type)
        for start in range(0, len(x), BATCH):
            yield forward(tf.constant(x[start : start + BATCH]))
