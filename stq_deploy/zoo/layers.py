"""The layers of the networks, with their scheme's quantizers; None there gives a plain Keras layer."""

from __future__ import annotations

from typing import Any

import qkeras
from tf_keras import layers

from stq_deploy.research.quantizers.factory import make_quantizer
from stq_deploy.zoo.schemes import Scheme

_INITIALIZER = "he_normal"
IntOrPair = int | tuple[int, int]


class SchemeLayers:
    """Every method applies a new layer with that name to x."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme

    def conv(
        self,
        x: Any,
        name: str,
        filters: int,
        kernel: IntOrPair,
        strides: IntOrPair = 1,
        *,
        bias: bool = False,
        first: bool = False,
    ) -> Any:
        """`first`: whether it reads the network's input."""
        text = self.scheme.kernel(name, self.scheme.first if first else self.scheme.conv)
        options = {
            "padding": "same",
            "use_bias": bias,
            "strides": strides,
            "kernel_initializer": _INITIALIZER,
            "name": name,
        }
        if text is None:
            return layers.Conv2D(filters, kernel, **options)(x)
        return qkeras.QConv2D(filters, kernel, kernel_quantizer=make_quantizer(text), **options)(x)

    def depthwise(self, x: Any, name: str, *, bias: bool = False) -> Any:
        """3x3."""
        options = {"padding": "same", "use_bias": bias, "depthwise_initializer": _INITIALIZER, "name": name}
        text = self.scheme.kernel(name, self.scheme.depthwise)
        if text is None:
            return layers.DepthwiseConv2D(3, **options)(x)
        return qkeras.QDepthwiseConv2D(3, depthwise_quantizer=make_quantizer(text), **options)(x)

    def separable(self, x: Any, name: str, filters: int) -> Any:
        """3x3."""
        options = {
            "padding": "same",
            "use_bias": False,
            "depthwise_initializer": _INITIALIZER,
            "pointwise_initializer": _INITIALIZER,
            "name": name,
        }
        depthwise, pointwise = (self.scheme.kernel(name, text) for text in (self.scheme.depthwise, self.scheme.conv))
        if depthwise is None or pointwise is None:
            return layers.SeparableConv2D(filters, 3, **options)(x)
        return qkeras.QSeparableConv2D(
            filters,
            3,
            depthwise_quantizer=make_quantizer(depthwise),
            pointwise_quantizer=make_quantizer(pointwise),
            **options,
        )(x)

    def dense(self, x: Any, name: str, units: int, *, bias: bool = False) -> Any:
        """A dense layer of `units` outputs; no bias by default."""
        options = {"use_bias": bias, "name": name}
        text = self.scheme.kernel(name, self.scheme.dense)
        if text is None:
            return layers.Dense(units, **options)(x)
        return qkeras.QDense(units, kernel_quantizer=make_quantizer(text), **options)(x)

    def batch_norm(self, x: Any, name: str) -> Any:
        """Batch normalization with momentum 0.9."""
        return layers.BatchNormalization(momentum=0.9, name=name)(x)

    def activation(self, x: Any, name: str, quantizer: str | None, plain: str) -> Any:
        """QActivation with the quantizer's *text*, which a model file stores and reads back."""
        text = self.scheme.activation(name, quantizer)
        if text is None:
            return layers.Activation(plain, name=name)(x)
        return qkeras.QActivation(text, name=name)(x)

    def relu(self, x: Any, name: str) -> Any:
        """A ReLU with the scheme's quantizer for ReLUs."""
        return self.activation(x, name, self.scheme.relu, "relu")
