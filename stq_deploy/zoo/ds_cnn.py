"""DS-CNN, the keyword spotter of MLPerf Tiny (mlcommons/tiny, benchmark/training/keyword_spotting).

Its structure with biases, batch norm and dropout: 24,908 parameters at 49x10x1 (MFCC of one second) and 12 classes.
"""

from __future__ import annotations

from typing import Any

import tf_keras
from tf_keras import layers

from stq_deploy.zoo.layers import SchemeLayers
from stq_deploy.zoo.schemes import Scheme

FILTERS, BLOCKS = 64, 4


def build_ds_cnn(scheme: Scheme, classes: int, input_shape: tuple[int, int, int]) -> Any:
    """A 10x4 convolution, four times depthwise and 1x1, then the mean over time and frequency and a dense layer."""
    scheme = scheme.for_features  # it is made for MFCC
    make = SchemeLayers(scheme)
    inputs = layers.Input(input_shape, name="input")
    x = make.activation(inputs, "quantize_input", scheme.input, "linear")
    x = make.conv(x, "conv0", FILTERS, (10, 4), (2, 2), bias=True, first=True)
    x = make.relu(make.batch_norm(x, "bn0"), "relu0")
    x = layers.Dropout(0.2, name="dropout0")(x)
    for number in range(1, BLOCKS + 1):
        x = make.depthwise(x, f"dw{number}", bias=True)
        x = make.relu(make.batch_norm(x, f"bn_dw{number}"), f"relu_dw{number}")
        x = make.conv(x, f"pw{number}", FILTERS, 1, bias=True)
        x = make.relu(make.batch_norm(x, f"bn_pw{number}"), f"relu_pw{number}")
    x = layers.Dropout(0.4, name="dropout")(x)
    x = layers.AveragePooling2D(x.shape[1:3], name="average")(x)
    x = layers.Flatten(name="flatten")(x)
    x = make.dense(x, "fc", classes, bias=True)
    x = layers.Activation("softmax", name="softmax")(x)
    return tf_keras.Model(inputs, x, name=f"ds_cnn_{scheme.identifier}")
