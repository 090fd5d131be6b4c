"""Quantized values of stored numbers, as integers times a unit, by evaluating qkeras's own quantizers.

TensorFlow is used here and in `fold`, and nowhere else in this package. QKeras computes a quantized number as
`x + stop_gradient(-x + s*k)`. In float32 that can differ from `s*k` by a unit in the last place; the integer network
means `s*k` exactly.

A stochastic quantizer settles at inference: qkeras's `stochastic_ternary` is then its `ternary`, and
`stochastic_binary` its `binary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.tensorflow_import import import_tensorflow
from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import AffineNode, BatchNormNode, FloatArray, Node

Reals = npt.NDArray[np.float64]

LARGEST_SPAN = 14  # span of powers of two in one kernel that 16-bit integers hold


def quantized_integers(values: FloatArray, quantizer: Quantizer, layer: str) -> tuple[npt.NDArray[np.int64], Reals]:
    """Integers shaped like `values`, and what one of them is worth: float64 > 0, broadcastable to them.

    Raises:
        StqError: QKeras's values are not integers times a unit, or it cannot compute them; `layer` is named.
    """
    quantized, unit = _evaluated(values, quantizer, layer)
    if quantizer.powers_of_two:
        unit = _smallest_power(quantized, quantizer, layer)
    unit = np.where(unit == 0, 1.0, unit)
    if not np.isfinite(quantized).all() or not (np.isfinite(unit) & (unit > 0)).all():
        raise _inexact(layer, quantizer, "gives NaN, infinity or a negative scale")
    integers = np.rint(quantized / unit)
    # 2**-21 of the magnitudes that entered is four units in float32's last place.
    allowed = 2.0**-21 * (np.abs(values) + np.abs(quantized))
    if (np.abs(quantized - integers * unit) > allowed).any():
        raise _inexact(layer, quantizer, "gives weights that are not integers times its scale")
    return integers.astype(np.int64), unit


def quantized_numbers(values: FloatArray, quantizer: Quantizer | None, layer: str) -> Reals:
    """The quantized numbers, exact, shaped like `values`; without a quantizer these themselves.

    Raises:
        StqError: as `quantized_integers`.
    """
    if quantizer is None:
        return values.astype(np.float64)
    if quantizer.powers_of_two:
        return _evaluated(values, quantizer, layer)[0]  # exact as they are, however far apart
    integers, unit = quantized_integers(values, quantizer, layer)
    return integers * unit


def with_quantized_numbers(node: Node, quantizers: Mapping[str, Quantizer]) -> Node:
    """The node with some of its numbers quantized: `quantizers` by the name of the field.

    Raises:
        StqError: as `quantized_integers`; or a quantized variance is negative.
    """
    fields: dict[str, Any] = {}
    for name, quantizer in quantizers.items():
        stored = np.array([float(number) for number in getattr(node, name)], np.float32)
        numbers = quantized_numbers(stored, quantizer, node.layer)
        exact_fractions = isinstance(node, AffineNode)
        fields[name] = tuple(Fraction(number) for number in numbers.tolist()) if exact_fractions else numbers
    node = replace(node, **fields)
    if isinstance(node, BatchNormNode) and (node.variance + np.float32(node.epsilon) <= 0).any():
        raise unsupported(
            node.layer, str(quantizers["variance"]), "the quantized variance plus epsilon is not above 0",
            next="use QKeras's own variance_quantizer, quantized_relu_po2(6,quadratic_approximation=True)",
        )  # fmt: skip
    return node


def _smallest_power(quantized: Reals, quantizer: Quantizer, layer: str) -> Reals:
    """The smallest of several powers of two; all are integer multiples of it."""
    exponents = np.frexp(quantized)[1] - 1
    low, high = int(exponents.min()), int(exponents.max())
    if high - low > LARGEST_SPAN or (quantized == 0).any():
        raise unsupported(
            layer, quantizer.name, f"the quantizer {quantizer} gives powers of two from 2**{low} to 2**{high}",
            next=f"use fewer bits, such as {quantizer.name}(4), and train again: "
            f"the largest may be 2**{LARGEST_SPAN} times the smallest",
            cause="a weight of 0 becomes the smallest power of all, and the weights are stored as 16-bit integers",
        )  # fmt: skip
    return np.asarray(2.0**low)


def _evaluated(values: FloatArray, quantizer: Quantizer, layer: str) -> tuple[Reals, Reals]:
    """QKeras's quantized values, and the value of integer 1 (0 for powers of two, which have none)."""
    tf = import_tensorflow("converting a QKeras model", instead="or give a converted .stq network")
    try:
        with tf.device("/CPU:0"):
            evaluate = _linear_values if quantizer.name == "quantized_linear" else _qkeras_values
            return evaluate(tf.constant(values), quantizer)
    except (AssertionError, TypeError, ValueError, tf.errors.OpError) as error:
        raise _inexact(layer, quantizer, "cannot be computed: QKeras itself fails") from error


def _qkeras_values(x: Any, quantizer: Quantizer) -> tuple[Reals, Reals]:
    import qkeras.quantizers

    # Without the straight-through estimator, which rounds once more, QKeras gives s*k itself.
    exact = {"use_ste": False} if "use_ste" in quantizer.parameters else {}
    # The name is one of our allow-list, never the file's own text.
    built: Any = getattr(qkeras.quantizers, quantizer.name)(**{**quantizer.parameters, **exact})
    quantized = np.asarray(built(x), np.float64)
    return quantized, np.asarray(getattr(built, "scale", 0.0), np.float64) * _unit(quantizer)


def _unit(quantizer: Quantizer) -> float:
    """Value of integer 1 in multiples of `quantizer.scale`: quantized_bits counts in steps of 2**integer / 2**bits."""
    if quantizer.name != "quantized_bits":
        return 1.0
    fraction = quantizer.integer("bits") - int(quantizer.flag("keep_negative"))
    return 2.0 ** (quantizer.integer("integer") - fraction) if fraction > 0 else 1.0


def _linear_values(x: Any, quantizer: Quantizer) -> tuple[Reals, Reals]:
    levels, step, (low, _) = linear_levels(x, quantizer)
    unit = np.asarray(step, np.float64) * (0.5 if low == -0.5 else 1.0)
    return np.asarray(levels, np.float64) * np.asarray(step, np.float64), unit


def linear_levels(x: Any, quantizer: Quantizer) -> tuple[Any, Any, tuple[float, float]]:
    """quantized_linear of a float32 tensor: levels, their step, and the lowest and highest level.

    qkeras 0.9.0 lacks this quantizer; it is that of QKeras's repository at commit 4eedf1e.
    """
    negative, alpha = quantizer.flag("keep_negative"), quantizer.parameters["alpha"]
    bits = quantizer.integer("bits")
    if bits == 1 and negative:
        low, high, shift = -0.5, 0.5, 0.5
    else:
        high = 2.0 ** (bits - negative) - 1
        low, shift = negative * (quantizer.flag("symmetric") - high - 1), 0.0
    if isinstance(alpha, str):
        step = _fitted_step(x, quantizer, low, high, shift)
    else:
        step = np.float32(1.0 if alpha is None else alpha) * np.float32(
            2.0 ** (quantizer.integer("integer") - bits + negative)
        )
    return _linear_levels(x, step, low, high, shift), step, (low, high)


def _linear_levels(x: Any, step: Any, low: float, high: float, shift: float) -> Any:
    """Levels of x: whole numbers in [low, high], or `shift` = 1/2 above them."""
    import tensorflow as tf

    return tf.round(tf.clip_by_value(x / step, low, high) - shift) + shift


def _fitted_step(x: Any, quantizer: Quantizer, low: float, high: float, shift: float) -> Any:
    """The step that alpha='auto' (the largest magnitude) or 'auto_po2' (least squares) fits to the numbers."""
    import tensorflow as tf

    kept = quantizer.parameters["scale_axis"]
    kept = len(x.shape) - 1 if kept is None else kept
    axes = [axis for axis in range(len(x.shape)) if axis != kept]
    if quantizer.flag("keep_negative"):
        step = tf.reduce_max(tf.abs(x), axis=axes, keepdims=True) * 2 / (high - low)
    else:
        step = tf.reduce_max(x, axis=axes, keepdims=True) / (high - low)
    step = tf.maximum(step, _EPSILON)
    if quantizer.parameters["alpha"] == "auto":
        return step
    step = _nearest_power(step)
    for _ in range(1 if shift else 5):
        levels = _linear_levels(x, step, low, high, shift)
        products = tf.reduce_mean(x * levels, axis=axes, keepdims=True)
        squares = tf.reduce_mean(levels * levels, axis=axes, keepdims=True)
        step = _nearest_power(products / (squares + _EPSILON))
    return step


_EPSILON = 1e-7  # Keras's


def _nearest_power(step: Any) -> Any:
    import tensorflow as tf

    return tf.pow(2.0, tf.round(tf.math.log(step + _EPSILON) / np.log(2.0)))


def _inexact(layer: str, quantizer: Quantizer, what: str) -> StqError:
    return unsupported(
        layer, quantizer.name, f"the quantizer {quantizer} {what}",
        next="use quantized_bits(8,0,1,alpha='auto_po2'), or ternary(alpha='auto_po2')",
        cause="the stored weights and the quantizer's settings do not belong together",
    )  # fmt: skip
