"""A small QKeras model that classifies noise: every class occurs among random pictures, and small changes move many."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network
from stq_deploy.program import plan_network

SHAPE = (10, 10, 1)


def save_noise_classifier(path: Path, seed: int = 2) -> Path:
    """Write the model, of three classes."""
    import qkeras
    import tf_keras

    inputs = tf_keras.Input(SHAPE)
    x = qkeras.QActivation("quantized_relu(8,0)", name="input_levels")(inputs)
    kernel = "quantized_bits(4,0,1,alpha=1)"
    x = qkeras.QConv2D(4, 3, kernel_quantizer=kernel, use_bias=False, name="conv")(x)
    x = qkeras.QActivation("quantized_relu(4,2)", name="relu")(x)
    x = tf_keras.layers.Flatten(name="flatten")(x)
    x = qkeras.QDense(3, kernel_quantizer=kernel, use_bias=False, name="fc")(x)
    model = tf_keras.Model(inputs, x, name="small")
    # Sums of 0 everywhere: noise then has every class, and no class has all of it.
    random = np.random.default_rng(seed)
    model.get_layer("conv").set_weights([_balanced(random, 9, 4).reshape(3, 3, 1, 4)])
    model.get_layer("fc").set_weights([_balanced(random, 256, 3)])
    model.save(path)
    return path


def classes_of_pixels(network: Network, x: np.ndarray) -> np.ndarray:
    """By the reference, on levels worked out here: the network's input has 8 bits from 0 to 255 / 256."""
    levels = np.minimum(np.rint(x / 255 * 256), 255).astype(np.int64) + network.input_type.zero_point
    return np.argmax(NumpyExecutor(plan_network(network)).run(levels)[0].reshape(len(x), -1), axis=1).astype(np.int64)


def _balanced(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Columns of as many halves as minus halves; a row over is 0."""
    column = np.repeat([0.5, -0.5], rows // 2).tolist() + [0.0] * (rows % 2)
    return np.stack([random.permutation(column) for _ in range(columns)], axis=1).astype(np.float32)
