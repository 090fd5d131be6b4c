"""A network to distil from: larger than what is shipped, and never shipped itself.

    stq-deploy train --network tools/teacher.py:build --scheme fp --recipe fp --out RUN
    stq-deploy train --recipe quantized --warm-start TWIN --teacher RUN/model.h5 ...

A residual network of eight convolutions in the manner of David Page's ResNet-9 ("How to train your ResNet", 2018), at
half its width: the most accuracy for the hours of two cores.
"""

from __future__ import annotations

from typing import Any

from tf_keras import Model, layers

from stq_deploy.zoo.layers import SchemeLayers
from stq_deploy.zoo.schemes import Scheme

WIDTH = 32


def build(scheme: Scheme, classes: int, input_shape: tuple[int, int, int]) -> Any:
    """Pictures whose sides divide by 8: 95 M multiply-adds and 1.6 M weights at 32x32x1."""
    make = SchemeLayers(scheme)
    inputs = layers.Input(input_shape, name="input")
    x = make.activation(inputs, "quantize_input", scheme.input, "linear")
    x = _convolve(make, x, "prepare", WIDTH)
    x = layers.MaxPooling2D(2, name="pool1")(_convolve(make, x, "conv1", 2 * WIDTH))
    x = _residual(make, x, "1", 2 * WIDTH)
    x = layers.MaxPooling2D(2, name="pool2")(_convolve(make, x, "conv2", 4 * WIDTH))
    x = layers.MaxPooling2D(2, name="pool3")(_convolve(make, x, "conv3", 8 * WIDTH))
    x = _residual(make, x, "3", 8 * WIDTH)
    x = layers.MaxPooling2D(x.shape[1:3], name="pool4")(x)
    x = make.dense(layers.Flatten(name="flatten")(x), "fc", classes)
    return Model(inputs, layers.Activation("softmax", name="softmax")(x), name=f"teacher_{scheme.identifier}")


def _convolve(make: SchemeLayers, x: Any, name: str, filters: int) -> Any:
    return make.relu(make.batch_norm(make.conv(x, name, filters, 3), f"bn_{name}"), f"relu_{name}")


def _residual(make: SchemeLayers, x: Any, number: str, filters: int) -> Any:
    """x + two convolutions of it."""
    branch = _convolve(make, _convolve(make, x, f"residual{number}a", filters), f"residual{number}b", filters)
    return layers.Add(name=f"add{number}")([x, branch])
