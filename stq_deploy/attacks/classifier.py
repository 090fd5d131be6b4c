"""A Keras model as an ART classifier on logits."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.attacks.base import Images

PREDICT_BATCH = 128


def logits_model(model: Any) -> Any:
    """A tf_keras Model of the same layers but ending before the softmax: (N, H, W, C) -> logits (N, K).

    Where a softmax saturates its gradient vanishes, and an attack looks weaker than it is; logits do not have
    this. A model without a softmax at its end is taken to give logits. Of several outputs the first is that of the
    classes, as for the integer network.
    """
    import tf_keras

    last = model.get_layer(model.output_names[0])
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    if type(last).__name__ != "Softmax" and activation != "softmax":
        return model if len(model.outputs) == 1 else tf_keras.Model(model.input, model.outputs[0], name=model.name)
    logits = last.input
    if last.weights:  # a Dense that applies the softmax itself: one of the same weights that does not
        linear = type(last).from_config(last.get_config() | {"activation": "linear"})
        logits = linear(last.input)
        linear.set_weights(last.get_weights())
    return tf_keras.Model(model.input, logits, name=f"{model.name}_logits")


def art_classifier(model: Any, input_range: tuple[float, float] = (0.0, 1.0)) -> Any:
    """ART's `TensorFlowV2Classifier` over the logits of a Keras model, for pixels in [0, 1].

    Args:
        input_range: the values of the model's input that pixels 0 and 1 stand for.

    Gradients through quantizers are those of training: straight-through estimates.
    """
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ART tells that PyTorch is absent; nothing here would use it
        from art.estimators.classification import TensorFlowV2Classifier

    logits, (low, high) = logits_model(model), input_range

    # ART calls the model once per step; traced, it is several times faster than eager.
    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # tensorflow has no types
    def forward(x: Any, training: bool = False) -> Any:
        return logits(low + x * (high - low), training=training)

    return TensorFlowV2Classifier(
        model=forward,
        nb_classes=int(logits.output_shape[-1]),
        input_shape=tuple(int(n) for n in logits.input_shape[1:]),
        loss_object=tf.keras.losses.CategoricalCrossentropy(from_logits=True),
        clip_values=(0.0, 1.0),
    )


def predict_classes(classifier: Any, x: Images) -> npt.NDArray[np.int64]:
    """Predicted classes (N,); of equal logits the lowest index."""
    logits = classifier.predict(x, batch_size=PREDICT_BATCH)
    return np.asarray(np.argmax(logits, axis=1), np.int64)
