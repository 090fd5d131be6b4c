"""The paper's network, *reconstructed*: no author code is public and its layer picture is not available as text.

It hits the paper's three totals exactly: 998,824 parameters, 997,460 trainable, 1,364 not. The totals leave some
choices open. Ours are `same` padding with max-pooling (or stride 2: the `strided` variant), and gated residuals x + x *
sigmoid(dw(x)). Batch norm with momentum 0.9 precedes each activation, and no layer has biases.
"""

from __future__ import annotations

from typing import Any

import tf_keras
from tf_keras import layers

from stq_deploy.zoo.layers import SchemeLayers
from stq_deploy.zoo.schemes import Scheme

VARIANTS = ("pooled", "strided")


def build_stq(scheme: Scheme, classes: int, input_shape: tuple[int, int, int], variant: str) -> Any:
    """Variant "pooled" (convolution, then 2x2 max-pool; 51.4 M multiply-adds) or "strided" (13.2 M)."""
    return _Stq(SchemeLayers(scheme), pooled=variant == "pooled").build(classes, input_shape)


class _Stq:
    def __init__(self, make: SchemeLayers, pooled: bool) -> None:
        self.make = make
        self.scheme = make.scheme
        self.pooled = pooled

    def build(self, classes: int, input_shape: tuple[int, int, int]) -> Any:
        make, scheme = self.make, self.scheme
        inputs = layers.Input(input_shape, name="input")
        x = make.activation(inputs, "quantize_input", scheme.input, "linear")
        x = self._gated_block(x, "1", filters=32, kernel=5)
        x = self._gated_block(x, "2", filters=128, kernel=5)
        x = self._separable_block(x, filters=256)
        x = layers.Flatten(name="flatten")(x)
        x = make.dense(x, "fc1", 128)
        x = make.activation(x, "relu_fc1", scheme.relu_dense, "relu")
        x = make.dense(x, "fc2", 32)
        x = make.activation(x, "pre_sigmoid", scheme.pre_sigmoid, "linear")
        x = make.activation(x, "sigmoid_fc2", scheme.sigmoid, "sigmoid")
        x = make.dense(x, "fc3", classes)
        x = make.batch_norm(x, "bn_fc3")
        x = layers.Activation("softmax", name="softmax")(x)
        name = f"stq_{scheme.identifier}_{'pooled' if self.pooled else 'strided'}"
        return tf_keras.Model(inputs, x, name=name)

    def _gated_block(self, x: Any, number: str, filters: int, kernel: int) -> Any:
        """conv, BN, ReLU, then x + x * sigmoid(dw(x)), then pool: names conv1, bn1, relu1, dw1, gate1, ..."""
        x = self._conv_bn_relu(x, number, filters, kernel)
        gate = self.make.depthwise(x, f"dw{number}")
        gate = self.make.activation(gate, f"gate{number}", self.scheme.gate, "sigmoid")
        gated = layers.Multiply(name=f"mul{number}")([x, gate])
        return self._join(x, gated, number)

    def _separable_block(self, x: Any, filters: int) -> Any:
        """conv3, then x + ReLU(BN(separable(x))), then pool."""
        x = self._conv_bn_relu(x, "3", filters, 3)
        branch = self.make.separable(x, "sep1", filters)
        branch = self.make.batch_norm(branch, "bn_sep1")
        branch = self.make.relu(branch, "relu_sep1")
        return self._join(x, branch, "3")

    def _conv_bn_relu(self, x: Any, number: str, filters: int, kernel: int) -> Any:
        strides = 1 if self.pooled else 2
        x = self.make.conv(x, f"conv{number}", filters, kernel, strides, first=number == "1")
        x = self.make.batch_norm(x, f"bn{number}")
        return self.make.relu(x, f"relu{number}")

    def _join(self, x: Any, branch: Any, number: str) -> Any:
        x = layers.Add(name=f"add{number}")([x, branch])
        # Both summands are >= 0, so in floating point this ReLU changes nothing; quantized, it brings the sum
        # back to the activation's own grid.
        x = self.make.relu(x, f"act{number}")
        return layers.MaxPooling2D(2, name=f"pool{number}")(x) if self.pooled else x
