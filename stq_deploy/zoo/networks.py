"""The paper's network, *reconstructed*: no author code is public and its layer picture is not available as
text.

It hits the paper's three totals exactly: 998,824 parameters, 997,460 trainable, 1,364 not. Not fixed by
arithmetic, and chosen here: `same` padding with max-pooling (or stride 2: the `strided` variant), gated
residuals x + x * sigmoid(dw(x)), batch norm with momentum 0.9 before each activation, no biases anywhere.

The layer names are the same in every scheme, so weights pass from the floating-point twin to a quantized one
by name.
"""

from __future__ import annotations

from typing import Any

import qkeras
import tf_keras
from tf_keras import layers

from stq_deploy.errors import StqError
from stq_deploy.quantizers.exact import keep_order_of_additions
from stq_deploy.quantizers.factory import make_quantizer
from stq_deploy.zoo.schemes import Scheme, get_scheme

VARIANTS = ("pooled", "strided")
NETWORKS = ("stq",)
_INITIALIZER = "he_normal"
_SAME = {"padding": "same", "use_bias": False}


def build_network(
    network: str = "stq",
    *,
    scheme: str | Scheme = "stq",
    classes: int = 10,
    input_shape: tuple[int, int, int] = (32, 32, 1),
    variant: str = "pooled",
) -> Any:
    """A new, untrained tf_keras Model: float32 input (N, H, W, C) in [0, 1] -> softmax (N, classes).

    variant: "pooled" (convolution, then 2x2 max-pool; 51.4 M multiply-adds) or "strided" (stride-2
    convolutions; 13.2 M, same parameters). Raises StqError for an unknown network, scheme or variant.
    """
    if network not in NETWORKS:
        raise StqError(f"unknown network {network!r}", next=f"choose one of: {', '.join(NETWORKS)}")
    if variant not in VARIANTS:
        raise StqError(f"unknown variant {variant!r}", next=f"choose one of: {', '.join(VARIANTS)}")
    keep_order_of_additions()
    return _Builder(get_scheme(scheme), pooled=variant == "pooled").build(classes, input_shape)


class _Builder:
    """Makes each layer in the scheme's precision: a plain Keras layer where the scheme says None."""

    def __init__(self, scheme: Scheme, pooled: bool) -> None:
        self.scheme = scheme
        self.pooled = pooled

    def build(self, classes: int, input_shape: tuple[int, int, int]) -> Any:
        inputs = layers.Input(input_shape, name="input")
        x = self._activation(inputs, "quantize_input", self.scheme.input, "linear")
        x = self._gated_block(x, "1", filters=32, kernel=5)
        x = self._gated_block(x, "2", filters=128, kernel=5)
        x = self._separable_block(x, filters=256)
        x = layers.Flatten(name="flatten")(x)
        x = self._dense(x, "fc1", 128)
        x = self._activation(x, "relu_fc1", self.scheme.relu_dense, "relu")
        x = self._dense(x, "fc2", 32)
        x = self._activation(x, "pre_sigmoid", self.scheme.pre_sigmoid, "linear")
        x = self._activation(x, "sigmoid_fc2", self.scheme.sigmoid, "sigmoid")
        x = self._dense(x, "fc3", classes)
        x = self._batch_norm(x, "bn_fc3")
        x = layers.Activation("softmax", name="softmax")(x)
        name = f"stq_{self.scheme.name.replace('-', '_')}_{'pooled' if self.pooled else 'strided'}"
        return tf_keras.Model(inputs, x, name=name)

    def _gated_block(self, x: Any, number: str, filters: int, kernel: int) -> Any:
        """conv, BN, ReLU, then x + x * sigmoid(dw(x)), then pool: names conv1, bn1, relu1, dw1, gate1, ..."""
        x = self._conv_bn_relu(x, number, filters, kernel)
        gate = self._depthwise(x, f"dw{number}")
        gate = self._activation(gate, f"gate{number}", self.scheme.gate, "sigmoid")
        gated = layers.Multiply(name=f"mul{number}")([x, gate])
        return self._join(x, gated, number)

    def _separable_block(self, x: Any, filters: int) -> Any:
        """conv3, then x + ReLU(BN(separable(x))), then pool."""
        x = self._conv_bn_relu(x, "3", filters, 3)
        branch = self._separable(x, "sep1", filters)
        branch = self._batch_norm(branch, "bn_sep1")
        branch = self._activation(branch, "relu_sep1", self.scheme.relu, "relu")
        return self._join(x, branch, "3")

    def _conv_bn_relu(self, x: Any, number: str, filters: int, kernel: int) -> Any:
        x = self._conv(x, f"conv{number}", filters, kernel)
        x = self._batch_norm(x, f"bn{number}")
        return self._activation(x, f"relu{number}", self.scheme.relu, "relu")

    def _join(self, x: Any, branch: Any, number: str) -> Any:
        x = layers.Add(name=f"add{number}")([x, branch])
        # Both summands are >= 0, so in floating point this ReLU changes nothing; quantized, it brings the sum
        # back to the activation's own grid.
        x = self._activation(x, f"act{number}", self.scheme.relu, "relu")
        return layers.MaxPooling2D(2, name=f"pool{number}")(x) if self.pooled else x

    def _conv(self, x: Any, name: str, filters: int, kernel: int) -> Any:
        strides = 1 if self.pooled else 2
        options = {**_SAME, "strides": strides, "kernel_initializer": _INITIALIZER, "name": name}
        if self.scheme.conv is None:
            return layers.Conv2D(filters, kernel, **options)(x)
        quantizer = make_quantizer(self.scheme.conv)
        return qkeras.QConv2D(filters, kernel, kernel_quantizer=quantizer, **options)(x)

    def _depthwise(self, x: Any, name: str) -> Any:
        options = {**_SAME, "depthwise_initializer": _INITIALIZER, "name": name}
        if self.scheme.depthwise is None:
            return layers.DepthwiseConv2D(3, **options)(x)
        quantizer = make_quantizer(self.scheme.depthwise)
        return qkeras.QDepthwiseConv2D(3, depthwise_quantizer=quantizer, **options)(x)

    def _separable(self, x: Any, name: str, filters: int) -> Any:
        options = {
            **_SAME,
            "depthwise_initializer": _INITIALIZER,
            "pointwise_initializer": _INITIALIZER,
            "name": name,
        }
        if self.scheme.conv is None or self.scheme.depthwise is None:
            return layers.SeparableConv2D(filters, 3, **options)(x)
        return qkeras.QSeparableConv2D(
            filters,
            3,
            depthwise_quantizer=make_quantizer(self.scheme.depthwise),
            pointwise_quantizer=make_quantizer(self.scheme.conv),
            **options,
        )(x)

    def _dense(self, x: Any, name: str, units: int) -> Any:
        options = {"use_bias": False, "name": name}
        if self.scheme.dense is None:
            return layers.Dense(units, **options)(x)
        return qkeras.QDense(units, kernel_quantizer=make_quantizer(self.scheme.dense), **options)(x)

    def _batch_norm(self, x: Any, name: str) -> Any:
        return layers.BatchNormalization(momentum=0.9, name=name)(x)

    def _activation(self, x: Any, name: str, quantizer: str | None, plain: str) -> Any:
        """QActivation given the quantizer's *text*: that is what a model file stores and reads back."""
        if quantizer is None:
            return layers.Activation(plain, name=name)(x)
        return qkeras.QActivation(quantizer, name=name)(x)


def logits_view(model: Any) -> Any:
    """A model sharing every layer of `model` but ending before its softmax: outputs logits (N, classes)."""
    return tf_keras.Model(model.input, model.get_layer("bn_fc3").output, name=f"{model.name}_logits")
