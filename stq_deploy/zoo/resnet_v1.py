"""ResNetV1, the image classifier of MLPerf Tiny (mlcommons/tiny, benchmark/training/image_classification).

Its structure with biases and batch norm: 78,666 parameters at 32x32x3 and 10 classes. L2 regularization is left to the
training's recipe.
"""

from __future__ import annotations

from typing import Any

import tf_keras
from tf_keras import layers

from stq_deploy.zoo.layers import SchemeLayers
from stq_deploy.zoo.schemes import Scheme


def build_resnet_v1(scheme: Scheme, classes: int, input_shape: tuple[int, int, int]) -> Any:
    """Three residual blocks of 16, 32 and 64 filters, then the mean over the image and a dense layer."""
    make = SchemeLayers(scheme)
    inputs = layers.Input(input_shape, name="input")
    x = make.activation(inputs, "quantize_input", scheme.input, "linear")
    x = make.conv(x, "conv0", 16, 3, bias=True, first=True)
    x = make.relu(make.batch_norm(x, "bn0"), "relu0")
    x = _block(make, x, "1", 16, strides=1)
    x = _block(make, x, "2", 32, strides=2)
    x = _block(make, x, "3", 64, strides=2)
    x = layers.AveragePooling2D(x.shape[1:3], name="average")(x)
    x = layers.Flatten(name="flatten")(x)
    x = make.dense(x, "fc", classes, bias=True)
    x = layers.Activation("softmax", name="softmax")(x)
    return tf_keras.Model(inputs, x, name=f"resnet_v1_{scheme.identifier}")


def _block(make: SchemeLayers, x: Any, number: str, filters: int, strides: int) -> Any:
    """ReLU(x + BN(conv(ReLU(BN(conv(x)))))); where the image shrinks, x passes a 1x1 convolution before it is added."""
    y = make.conv(x, f"conv{number}a", filters, 3, strides, bias=True)
    y = make.relu(make.batch_norm(y, f"bn{number}a"), f"relu{number}a")
    y = make.conv(y, f"conv{number}b", filters, 3, bias=True)
    y = make.batch_norm(y, f"bn{number}b")
    y = make.activation(y, f"branch{number}", make.scheme.branch, "linear")
    if strides > 1:
        x = make.conv(x, f"shortcut{number}", filters, 1, strides, bias=True)
        x = make.activation(x, f"side{number}", make.scheme.branch, "linear")
    x = layers.Add(name=f"add{number}")([x, y])
    return make.relu(x, f"act{number}")
