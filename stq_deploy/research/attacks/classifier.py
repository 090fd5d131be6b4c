"""The logits of a Keras model, for attacks by gradients: where a softmax saturates, its gradient vanishes."""

from __future__ import annotations

from typing import Any


def logits_model(model: Any) -> Any:
    """A tf_keras Model of the same layers, but without the softmax or, of one unit, the sigmoid at its end.

    (N, *shape) -> logits (N, K). Where such a function saturates, an attack looks weaker than it is. A model without
    one is assumed to give logits. The first of several outputs is that of the classes, as for the integer network.
    """
    import tf_keras

    last = model.get_layer(model.output_names[0])
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    endings = ("softmax", "sigmoid") if last.output_shape[-1] == 1 else ("softmax",)
    if type(last).__name__ != "Softmax" and activation not in endings:
        return model if len(model.outputs) == 1 else tf_keras.Model(model.input, model.outputs[0], name=model.name)
    logits = last.input
    if last.weights:  # a Dense that applies the softmax itself: one of the same weights that does not
        linear = type(last).from_config(last.get_config() | {"activation": "linear"})
        logits = linear(last.input)
        linear.set_weights(last.get_weights())
    return tf_keras.Model(model.input, logits, name=f"{model.name}_logits")
