"""A model file in TensorFlow, as Keras computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.float_model_file import FloatModelFile, no_such_layer
from stq_deploy.frontend.importer import ModelSource, check_model
from stq_deploy.frontend.keras_model import build_keras_model
from stq_deploy.network.input_format import Values
from stq_deploy.pipeline import Conversion

BATCH = 128


class FloatModel(FloatModelFile):
    """A Keras or QKeras model file, as TensorFlow computes it.

    Attributes:
        checked: its layers.
        keras: the tf_keras Model.

    Raises:
        StqError: the file is unusable or not supported, or TensorFlow is not installed.
    """

    engine = "keras"

    def __init__(self, source: ModelSource, conversion: Conversion | None = None) -> None:
        super().__init__(source, conversion)
        self.checked = check_model(self._file)
        self.keras = build_keras_model(self.checked, str(self.path))

    def logits(self, values: Values) -> npt.NDArray[np.float32]:
        """See `FloatModelFile.logits`."""
        from stq_deploy.research.attacks.classifier import logits_model

        parts = list(self._run(logits_model(self.keras), values))
        return np.concatenate(parts)

    def outputs(self, values: Values) -> npt.NDArray[np.float32]:
        """See `FloatModelFile.outputs`."""
        import tf_keras

        model = self.keras
        first = model if len(model.outputs) == 1 else tf_keras.Model(model.input, model.outputs[0])
        return np.concatenate(list(self._run(first, values)))

    def layer_outputs(self, values: Values, layers: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """See `FloatModelFile.layer_outputs`."""
        if not layers:
            return []
        import tf_keras

        known = {layer.name: layer for layer in self.keras.layers}
        for name in layers:
            if name not in known:
                raise no_such_layer(name)
        outputs = [known[name].output for name in layers]
        view = tf_keras.Model(self.keras.input, outputs)
        batches = list(self._run(view, values))
        if len(layers) == 1:  # Keras gives a single output without a list around it
            batches = [[batch] for batch in batches]
        return [np.concatenate([np.asarray(batch[i]) for batch in batches]) for i in range(len(layers))]

    def gives(self, layer: str) -> bool:
        """Keras does not give the outputs of layers within a nested model."""
        return "/" not in layer

    def _run(self, model: Any, x: Values) -> Any:
        import tensorflow as tf

        forward = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
        for start in range(0, len(x), BATCH):
            yield forward(tf.constant(x[start : start + BATCH]))
