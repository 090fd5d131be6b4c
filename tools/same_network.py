"""Two small networks that several programs can write, each from the same weights.

All their scales are powers of two, and every sum is exact in float32. So each program computes the very same numbers,
and the integer networks of all its files must give the same logits, ties included.

`keras` and `qkeras` are modules of Keras 2 or 3: their layers have the same names. The weights come from `weights`,
in Keras's order of axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = Mapping[str, Any]
SHAPES = {"pictures": (8, 8, 2), "features": (12,)}
"""Name -> shape of an input, channels last."""
_BITS_4, _BITS_3 = (f"quantized_bits({bits},0,1,alpha=1)" for bits in (4, 3))
_INPUT = "quantized_bits(8,1,0,alpha=1)"
_EPSILON = 2.0**-10


def weights() -> dict[str, npt.NDArray[np.float32]]:
    """The weights of both networks: multiples of the steps, with the largest level in each kernel."""
    random = np.random.default_rng(20)

    def levels(shape: tuple[int, ...], largest: int) -> npt.NDArray[np.float32]:
        found = random.integers(-largest, largest + 1, shape)
        found.flat[0] = largest  # Brevitas takes its scale from the largest
        return (found / np.float64(largest + 1)).astype(np.float32)

    eighths = {name: random.integers(low, 9, 16) / 8 for name, low in (("gamma", 1), ("beta", -8), ("mean", -8))}
    return {
        "pictures/first": levels((3, 3, 2, 6), 7),
        "pictures/depthwise": levels((3, 3, 6, 1), 3),
        "pictures/last": levels((54, 5), 7),
        "features/first": random.integers(-1, 2, (12, 16)).astype(np.float32),
        "features/last": random.integers(-1, 2, (16, 4)).astype(np.float32),
        **{f"features/{name}": values.astype(np.float32) for name, values in eighths.items()},
        "features/variance": np.full(16, 1 - _EPSILON, np.float32),
    }


def inputs(name: str, count: int) -> npt.NDArray[np.float32]:
    """(count, *shape) inputs from -2.25 to 2.25; half of them are multiples of half a step, ties among them."""
    random = np.random.default_rng(3)
    free = random.uniform(-2.25, 2.25, (count // 2, *SHAPES[name]))
    halves = random.integers(-288, 289, (count - count // 2, *SHAPES[name])) / 128
    return np.concatenate([free, halves]).astype(np.float32)


def pictures(keras: Any, qkeras: Any, stored: Weights) -> Any:
    """Convolution, pooling, depthwise convolution and dense layer of 4, 3 and 4 bits."""
    fixed = {"use_bias": False}
    model = keras.Sequential(
        [
            keras.layers.Input(SHAPES["pictures"]),
            qkeras.QActivation(_INPUT),
            qkeras.QConv2D(6, 3, kernel_quantizer=_BITS_4, name="first", **fixed),
            qkeras.QActivation("quantized_relu(4,2)"),
            keras.layers.MaxPooling2D(2),
            qkeras.QDepthwiseConv2D(3, padding="same", depthwise_quantizer=_BITS_3, name="depthwise", **fixed),
            qkeras.QActivation("quantized_relu(3,1)"),
            keras.layers.Flatten(),
            qkeras.QDense(5, kernel_quantizer=_BITS_4, name="last", **fixed),
        ]
    )
    for name in ("first", "depthwise", "last"):
        model.get_layer(name).set_weights([stored[f"pictures/{name}"]])
    return model


def features(keras: Any, qkeras: Any, stored: Weights) -> Any:
    """Two ternary dense layers, with batch normalization between them."""
    model = keras.Sequential(
        [
            keras.layers.Input(SHAPES["features"]),
            qkeras.QActivation(_INPUT),
            qkeras.QDense(16, kernel_quantizer="ternary(alpha=1)", use_bias=False, name="first"),
            keras.layers.BatchNormalization(epsilon=_EPSILON, name="norm"),
            qkeras.QActivation("quantized_relu(4,2)"),
            qkeras.QDense(4, kernel_quantizer="ternary(alpha=1)", use_bias=False, name="last"),
        ]
    )
    for name in ("first", "last"):
        model.get_layer(name).set_weights([stored[f"features/{name}"]])
    norms = [stored[f"features/{what}"] for what in ("gamma", "beta", "mean", "variance")]
    model.get_layer("norm").set_weights(norms)
    return model


MODELS: dict[str, Callable[[Any, Any, Weights], Any]] = {"pictures": pictures, "features": features}
"""Name -> what builds it."""
