"""Small QKeras models of every kind of output, each with samples, labels, and the score that Keras's own outputs give.

Weights are few-bit and pixels have 8 bits, so that the integer network is the Keras model up to float32's rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SHAPE = (6, 6, 1)
COUNT = 48
WEIGHTS = "quantized_bits(4,0,1,alpha=1)"


@dataclass(frozen=True)
class Case:
    """A kind of output.

    Attributes:
        end: layers after the first, from a picture of 4 channels; the Keras outputs.
        labels: what `y` holds, of Keras's outputs (N, ...) and pixels (N, ...) in 0 .. 1.
        score: the figure, by its definition, of outputs, labels and pixels.
        figure: its name in the command's JSON; task: the reading.
        near: by how much the integer network's figure may be off, as float32 rounds.
        options: of the command.
    """

    end: Callable[[Any], Any]
    labels: Callable[[Array, Array], Array | None]
    score: Callable[[Array, Array, Array], float]
    figure: str
    task: str
    near: float = 0.0
    options: tuple[str, ...] = ()


def build(case: Case, seed: int = 0) -> Any:
    """The tf_keras model."""
    import tf_keras
    from qkeras import QActivation, QConv2D

    tf_keras.utils.set_random_seed(seed)
    x = source = tf_keras.layers.Input(SHAPE)
    x = QConv2D(4, 3, padding="same", kernel_quantizer=WEIGHTS, bias_quantizer="quantized_bits(8,2,1)", name="conv")(x)
    x = QActivation("quantized_relu(6,2)", name="relu")(x)
    model = tf_keras.Model(source, case.end(x))
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.5, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def pixels(seed: int = 1) -> npt.NDArray[np.uint8]:
    """uint8 (COUNT, *SHAPE)."""
    return np.random.default_rng(seed).integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)


def dense(units: int, activation: str | None = None) -> Callable[[Any], Any]:
    """Flatten, then a dense layer."""

    def end(x: Any) -> Any:
        from qkeras import QDense
        from tf_keras.layers import Flatten

        return QDense(units, kernel_quantizer=WEIGHTS, activation=activation, name="fc")(Flatten()(x))

    return end


def picture(channels: int, activation: str | None = None) -> Callable[[Any], Any]:
    """A convolution that keeps the picture's size."""

    def end(x: Any) -> Any:
        from qkeras import QConv2D

        return QConv2D(channels, 3, padding="same", kernel_quantizer=WEIGHTS, activation=activation, name="map")(x)

    return end


def two_outputs(x: Any) -> list[Any]:
    """Classes first, then a picture."""
    return [dense(5, "softmax")(x), picture(1)(x)]


def quantized_unit(x: Any) -> Any:
    """One unit, and a quantized sigmoid of it, whose levels are the output."""
    from qkeras import QActivation

    return QActivation("quantized_sigmoid(8,use_real_sigmoid=1)", name="probability")(dense(1)(x))


def hard_unit(x: Any) -> Any:
    """One unit, and QKeras's hard sigmoid of it, quantized."""
    from qkeras import QActivation

    return QActivation("quantized_sigmoid(8)", name="probability")(dense(1)(x))


def _flipped(labels: Array, classes: int = 2) -> Array:
    """The labels, every third one another."""
    changed = labels.copy().reshape(-1)
    changed[::3] = (changed[::3] + 1) % classes
    return changed.reshape(labels.shape)


def _largest(outputs: Array, _: Array) -> Array:
    return _flipped(np.argmax(outputs, axis=-1), outputs.shape[-1])


def _above(limit: float) -> Callable[[Array, Array], Array]:
    return lambda outputs, _: _flipped((outputs > limit).astype(int)).reshape(outputs.shape)


def _one_above(limit: float) -> Callable[[Array, Array], Array]:
    return lambda outputs, _: _flipped((outputs[:, 0] > limit).astype(int))


def _signs(outputs: Array, _: Array) -> Array:
    return 2 * _flipped((outputs[:, 0] > 0).astype(int)) - 1


def _share(answers: Array, labels: Array) -> float:
    return float((answers == labels).mean())


def _mse(outputs: Array, targets: Array) -> float:
    return float(np.square(outputs.astype(np.float64) - targets.astype(np.float64)).mean())


def _targets(outputs: Array, _: Array) -> Array:
    noise = np.random.default_rng(7).normal(0, 1, outputs.shape)
    return (outputs + noise).astype(np.float32)


def _area(outputs: Array, y: Array, x: Array) -> float:
    """Over all pairs of a normal sample and one that is not."""
    errors = [_mse(o, t) for o, t in zip(outputs, x, strict=True)]
    pairs = [(a, b) for a, la in zip(errors, y, strict=True) for b, lb in zip(errors, y, strict=True) if la > lb]
    return float(np.mean([float(a > b) + 0.5 * float(a == b) for a, b in pairs]))


CASES = {
    "softmax": Case(
        dense(5, "softmax"), _largest, lambda o, y, _: _share(np.argmax(o, -1), y), "top1", "classes"
    ),
    "two outputs": Case(
        two_outputs, _largest, lambda o, y, _: _share(np.argmax(o, -1), y), "top1", "classes"
    ),
    "one-hot": Case(
        dense(5, "softmax"), lambda o, x: np.eye(5, dtype=int)[_largest(o, x)],
        lambda o, y, _: _share(np.argmax(o, -1), np.argmax(y, -1)), "top1", "classes",
    ),
    "sigmoid unit": Case(
        dense(1, "sigmoid"), _one_above(0.5), lambda o, y, _: _share(o[:, 0] > 0.5, y), "top1", "binary"
    ),
    "quantized sigmoid unit": Case(
        quantized_unit, _one_above(0.5), lambda o, y, _: _share(o[:, 0] > 0.5, y), "top1", "binary"
    ),
    "hard sigmoid unit": Case(
        hard_unit, _one_above(0.5), lambda o, y, _: _share(o[:, 0] > 0.5, y), "top1", "binary"
    ),
    "tanh unit": Case(
        dense(1, "tanh"), _signs, lambda o, y, _: _share(np.sign(o[:, 0]), y), "top1", "binary"
    ),
    "linear unit of +-1": Case(
        dense(1), _signs, lambda o, y, _: _share(np.sign(o[:, 0]), y), "top1", "binary"
    ),
    "linear unit, stated": Case(
        dense(1), _one_above(0.5), lambda o, y, _: _share(o[:, 0] > 0.5, y), "top1", "binary",
        options=("--task", "binary", "--threshold", "0.5"),
    ),
    "sigmoid unit, other threshold": Case(
        dense(1, "sigmoid"), _one_above(0.9), lambda o, y, _: _share(o[:, 0] > 0.9, y), "top1", "binary",
        options=("--threshold", "0.9"),
    ),
    "sigmoids": Case(
        dense(4, "sigmoid"), _above(0.5), lambda o, y, _: float(((o > 0.5) == y).all(axis=1).mean()),
        "all_labels_right", "multi-label",
    ),
    "regression": Case(dense(1), _targets, lambda o, y, _: _mse(o, y), "mean_squared_error", "regression", 1e-4),
    "sigmoid regression": Case(
        dense(3, "sigmoid"), _targets, lambda o, y, _: _mse(o, y), "mean_squared_error", "regression", 1e-4
    ),
    "segmentation": Case(
        picture(3, "softmax"), _largest, lambda o, y, _: _share(np.argmax(o, -1), y), "places_right",
        "pixel-classes", 0.002,
    ),
    "masks": Case(
        picture(1, "sigmoid"), _above(0.5), lambda o, y, _: _share(o > 0.5, y), "places_right", "pixel-classes", 0.002
    ),
    "autoencoder": Case(
        picture(1), lambda *_: None, lambda o, _, x: _mse(o, x), "mean_squared_error", "reconstruction", 1e-4
    ),
    "sigmoid autoencoder": Case(
        picture(1, "sigmoid"), lambda *_: None, lambda o, _, x: _mse(o, x), "mean_squared_error", "reconstruction",
        1e-4,
    ),
    "denoiser": Case(picture(1), _targets, lambda o, y, _: _mse(o, y), "mean_squared_error", "regression", 1e-4),
    "anomalies": Case(
        picture(1), lambda o, _: (np.arange(len(o)) % 3 == 0).astype(int), _area, "auc", "anomaly", 0.005
    ),
}  # fmt: skip
