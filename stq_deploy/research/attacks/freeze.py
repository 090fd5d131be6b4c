"""Makes a model fast to attack: the same function, with everything independent of the input computed once.

A forward pass of a QKeras model quantizes every kernel again, and an attack makes thousands of passes with the same
kernels. Frozen, the STQ network takes less than half the time, and logits and gradients are the same bits (tested).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

_WEIGHTS = {
    "kernel_quantizer_internal": "kernel",
    "depthwise_quantizer_internal": "depthwise_kernel",
    "pointwise_quantizer_internal": "pointwise_kernel",
    "bias_quantizer_internal": "bias",
}
"""Attribute of a quantizer -> attribute of the weights that it quantizes."""

_MOVING = {
    "Reshape", "Flatten", "Permute", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise",
    "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D", "RepeatVector",
}  # fmt: skip
"""Layers that only move values at inference: a quantizer after them still reads the input."""


def freeze(model: Any) -> int:
    """Quantize the kernels and biases of `model` once, and use the fast activations; in place.

    The model is then for inference only: new weights would have no effect. Layers that fold a batch norm into their
    kernel stay unchanged.

    Returns:
        How many quantizers were frozen.
    """
    from stq_deploy.research.quantizers.fast import use_fast_activations

    use_fast_activations(model)
    return sum(_freeze_layer(layer) for layer in model._flatten_layers(include_self=False))


def pass_gradient_through_input_quantizer(model: Any) -> int:
    """Give the quantizers that read the model's input an identity gradient, in place; return how many there are.

    QKeras's own straight-through gradient is 0 where it clips, which are the pixels 0 and 255. The identity is the
    usual approximation for an attack (backward pass differentiable approximation, Athalye et al. 2018).
    """
    found = 0
    queue = deque(node.layer for layer in model._input_layers for node in layer._outbound_nodes)
    seen = set()
    while queue:
        layer = queue.popleft()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if type(layer).__name__ == "QActivation":
            layer.quantizer = _IdentityGradient(layer.quantizer)
            found += 1
        elif type(layer).__name__ in _MOVING:
            queue.extend(node.layer for node in layer._outbound_nodes)
    return found


def _freeze_layer(layer: Any) -> int:
    if type(layer).__name__.endswith("Batchnorm"):
        return 0
    count = 0
    for quantizer, weights in _WEIGHTS.items():
        apply, values = getattr(layer, quantizer, None), getattr(layer, weights, None)
        if apply is not None and values is not None and not isinstance(apply, _Frozen):
            setattr(layer, quantizer, _Frozen(_traced(apply, values)))
            count += 1
    return count


def _traced(apply: Any, values: Any) -> Any:
    """The result of `apply` within a traced model; executed eagerly, a fitted scale can differ in its last bit."""
    import tensorflow as tf

    from stq_deploy.research.quantizers.exact import keep_order_of_additions

    keep_order_of_additions()
    return np.asarray(tf.function(lambda: apply(values))(), np.float32)


class _Frozen:
    """A quantizer that returns its first result for any weights."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __call__(self, weights: Any) -> Any:
        import tensorflow as tf

        return tf.constant(self._values)


class _IdentityGradient:
    """A quantizer's values, with the gradient of the identity."""

    def __init__(self, quantizer: Any) -> None:
        self._quantizer = quantizer

    def __call__(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.custom_gradient(lambda x: (self._quantizer(x), lambda upstream: upstream))(x)
