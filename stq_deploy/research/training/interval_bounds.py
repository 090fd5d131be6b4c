"""Interval bounds of a network's logits, for certified training (Gowal et al. 2018, arXiv:1810.12715).

Every layer turns bounds of its inputs into bounds of its outputs, elementwise. Sums of products use the kernel's signs,
and batch norms the sign of their factor. Monotone functions (activations, their quantizers, max-pooling) are computed
at both ends. Quantizers stay in place, with their straight-through gradients, as in quantization-aware IBP (Lechner et
al. 2023). Batch norms use the statistics of the clean samples, so that the bounds belong to a single network.

The bounds hold for the floating-point computation, up to its rounding. A certificate for a board needs the integer
network's own bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from stq_deploy.common.errors import StqError

_MONOTONE_LAYERS = (
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalMaxPooling2D",
    "GlobalAveragePooling2D",
    "ReLU",
    "Flatten",
    "Reshape",
    "ZeroPadding2D",
    "Cropping2D",
    "Add",
    "Average",
    "Maximum",
    "Minimum",
    "Concatenate",
)
_MONOTONE_FUNCTIONS = ("linear", "relu", "relu6", "sigmoid", "hard_sigmoid", "tanh")
_MONOTONE_QUANTIZERS = ("quantized_relu", "quantized_bits", "quantized_sigmoid", "quantized_tanh")


@dataclass(frozen=True)
class Bounds:
    """One tensor's values for the clean samples, and the smallest and largest for the samples around them."""

    clean: Any
    lower: Any
    upper: Any

    def map(self, function: Callable[[Any], Any]) -> Bounds:
        """The bounds after a function that never falls."""
        return Bounds(function(self.clean), function(self.lower), function(self.upper))


class IntervalNetwork:
    """Calls a model on boxes of samples.

    Raises:
        StqError: a layer whose bounds are not implemented.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._rules = {layer.name: _rule(layer) for layer in model.layers[:-1] if not _is_input(layer)}

    def __call__(self, inputs: Any, eps: Any, *, training: bool) -> Bounds:
        """Bounds of the logits (B, classes) for all samples within `eps` of `inputs` (B, H, W, C) and in [0, 1]."""
        box = Bounds(inputs, tf.clip_by_value(inputs - eps, 0.0, 1.0), tf.clip_by_value(inputs + eps, 0.0, 1.0))
        found = {id(self._model.input): box}
        for layer in self._model.layers[:-1]:
            if not _is_input(layer):
                given = [found[id(tensor)] for tensor in tf.nest.flatten(layer.input)]
                found[id(layer.output)] = self._rules[layer.name](given, training)
        return found[id(self._model.layers[-1].input)]


def worst_logits(bounds: Bounds, labels: Any) -> Any:
    """The worst logits (B, classes) for the labels (B, classes, one-hot): the label's lower bound and the others' upper
    bounds.
    """
    return tf.where(labels >= tf.reduce_max(labels, -1, keepdims=True), bounds.lower, bounds.upper)


_Rule = Callable[[Sequence[Bounds], bool], Bounds]


def _is_input(layer: Any) -> bool:
    return type(layer).__name__ == "InputLayer"


def _rule(layer: Any) -> _Rule:
    """The bounds after `layer`."""
    kind = type(layer).__name__
    if kind in _LINEAR:
        linear = _LINEAR[kind]
        return lambda given, training: _after(layer, linear(layer, given[0]))
    if kind == "BatchNormalization":
        return lambda given, training: _batch_norm(layer, given[0], training)
    if kind == "Multiply":
        return lambda given, training: _product(given)
    if kind == "Dropout":
        return lambda given, training: given[0]
    if kind in _MONOTONE_LAYERS or (kind in ("Activation", "QActivation") and _is_monotone(layer)):
        return lambda given, training: _by_layer(layer, given)
    raise StqError(
        f"interval bounds are not known for layer {layer.name!r} ({kind})",
        next="train this network with an adversary instead (recipe entry adversary)",
    )


def _is_monotone(layer: Any) -> bool:
    function = getattr(layer, "quantizer", None) or layer.activation
    function = getattr(function, "straight_through", function)
    name = getattr(function, "__name__", None) or type(function).__name__
    if name in _MONOTONE_FUNCTIONS:
        return True
    # A scale fitted to each tensor, or a random rounding, is not a function of one value.
    fixed = not isinstance(getattr(function, "alpha", None), str)
    exact = not getattr(function, "use_stochastic_rounding", False)
    return any(one.__name__ in _MONOTONE_QUANTIZERS for one in type(function).__mro__) and fixed and exact


def _by_layer(layer: Any, given: Sequence[Bounds]) -> Bounds:
    def call(tensors: list[Any]) -> Any:
        return layer(tensors if len(tensors) > 1 else tensors[0])

    return Bounds(
        call([one.clean for one in given]), call([one.lower for one in given]), call([one.upper for one in given])
    )


def _product(given: Sequence[Bounds]) -> Bounds:
    first, *others = given
    for other in others:
        corners = [a * b for a in (first.lower, first.upper) for b in (other.lower, other.upper)]
        lower, upper = corners[0], corners[0]
        for corner in corners[1:]:
            lower, upper = tf.minimum(lower, corner), tf.maximum(upper, corner)
        first = Bounds(first.clean * other.clean, lower, upper)
    return first


def _batch_norm(layer: Any, given: Bounds, training: bool) -> Bounds:
    mean, variance = layer.moving_mean, layer.moving_variance
    if training:
        mean, variance = tf.nn.moments(given.clean, list(range(len(given.clean.shape) - 1)))
    factor = tf.math.rsqrt(variance + layer.epsilon) * (layer.gamma if layer.scale else 1.0)
    offset = (layer.beta if layer.center else 0.0) - mean * factor
    falling = factor < 0
    lower, upper = (tf.where(falling, a, b) for a, b in ((given.upper, given.lower), (given.lower, given.upper)))
    return Bounds(given.clean, lower, upper).map(lambda x: x * factor + offset)


def _after(layer: Any, sums: Bounds) -> Bounds:
    """The bounds after the layer's bias and its own activation, if it has them."""
    if layer.use_bias:
        quantizer = getattr(layer, "bias_quantizer_internal", None)
        bias = layer.bias if quantizer is None else quantizer(layer.bias)
        sums = sums.map(lambda x: x + bias)
    if layer.activation is None or getattr(layer.activation, "__name__", "") == "linear":
        return sums
    if not _is_monotone(layer):
        raise StqError(f"interval bounds are not known for the activation of layer {layer.name!r}")
    return sums.map(layer.activation)


def _linear_bounds(given: Bounds, kernel: Any, apply: Callable[[Any, Any], Any]) -> Bounds:
    """Sums of products: the middle's, plus and minus the half width's with the kernel's magnitudes."""
    middle, radius = (given.upper + given.lower) / 2.0, (given.upper - given.lower) / 2.0
    centre, width = apply(middle, kernel), apply(radius, tf.abs(kernel))
    return Bounds(apply(given.clean, kernel), centre - width, centre + width)


def _kernel(layer: Any, name: str) -> Any:
    """The kernel as the layer quantizes it."""
    quantizer = getattr(layer, f"{name.removesuffix('_kernel')}_quantizer_internal", None)
    kernel = getattr(layer, name)
    return tf.convert_to_tensor(kernel) if quantizer is None else quantizer(kernel)


def _dense(layer: Any, given: Bounds) -> Bounds:
    return _linear_bounds(given, _kernel(layer, "kernel"), tf.matmul)


def _convolution(layer: Any, given: Bounds) -> Bounds:
    def apply(x: Any, kernel: Any) -> Any:
        return tf.nn.convolution(
            x, kernel, strides=layer.strides, padding=layer.padding.upper(), dilations=layer.dilation_rate
        )

    return _linear_bounds(given, _kernel(layer, "kernel"), apply)


def _depthwise(layer: Any, given: Bounds) -> Bounds:
    def apply(x: Any, kernel: Any) -> Any:
        return tf.nn.depthwise_conv2d(
            x, kernel, (1, *layer.strides, 1), layer.padding.upper(), dilations=layer.dilation_rate
        )

    return _linear_bounds(given, _kernel(layer, "depthwise_kernel"), apply)


def _separable(layer: Any, given: Bounds) -> Bounds:
    """Its 1x1 half directly follows the depthwise half."""
    inner = _depthwise(layer, given)
    pointwise = _kernel(layer, "pointwise_kernel")
    return _linear_bounds(inner, pointwise, lambda x, kernel: tf.nn.convolution(x, kernel, padding="VALID"))


_LINEAR: dict[str, Callable[[Any, Bounds], Bounds]] = {
    "Dense": _dense,
    "QDense": _dense,
    "Conv2D": _convolution,
    "QConv2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "QDepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "QSeparableConv2D": _separable,
}
