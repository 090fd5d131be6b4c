"""Float weights -> exact integers and scales, by evaluating qkeras's own quantizers: the one use of TensorFlow here.

QKeras computes a quantized weight as `x + stop_gradient(-x + s*k)`. In float32 that can differ from `s*k` by a unit
in the last place; the integer network means `s*k` exactly.

A stochastic quantizer settles at inference: qkeras's `stochastic_ternary` is then its `ternary`, and
`stochastic_binary` its `binary`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.errors import StqError
from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import FloatArray, FloatKernel, IntegerKernel


def integer_kernel(kernel: FloatKernel, layer: str, depthwise: bool) -> IntegerKernel:
    """Quantize a kernel.

    Args:
        layer: the Keras layer's name, for errors.
        depthwise: the kernel is (kh, kw, channels, multiplier), so its scale varies with the multiplier only.

    Raises:
        StqError: the quantizer's values are not integers times one scale per output channel.
    """
    quantizer = kernel.quantizer
    assert quantizer is not None  # such a layer is an obstacle, which stops the conversion
    integers, scale = _evaluate(kernel.values, _trainable(quantizer), layer)
    channels = kernel.values.shape[-1]
    per_channel = np.broadcast_to(scale.reshape(-1) if scale.size > 1 else scale.reshape(()), (channels,))
    if depthwise:
        per_channel = np.tile(per_channel, kernel.values.shape[-2])
    bits = _weight_bits(quantizer)
    half = 2 ** (bits - 1)
    if integers.min() < -half or integers.max() >= half:
        raise _inexact(layer, quantizer, f"gives weights outside {bits} bits")
    return IntegerKernel(integers.astype(np.int8).reshape(kernel.shape), np.array(per_channel), bits)


def exact_bias(values: FloatArray, quantizer: Quantizer | None, layer: str) -> npt.NDArray[np.float64]:
    """The bias as QKeras adds it, float64 (C,), exact."""
    if quantizer is None:
        return values.astype(np.float64)
    integers, scale = _evaluate(values, quantizer, layer)
    return integers * scale


def _trainable(quantizer: Quantizer) -> Quantizer:
    """What `_set_trainable_parameter` of qkeras's kernel quantizers does: no alpha means 'auto_po2'."""
    if quantizer.parameters["alpha"] is not None:
        return quantizer
    return Quantizer(quantizer.name, {**quantizer.parameters, "alpha": "auto_po2"})


def _evaluate(
    values: FloatArray, quantizer: Quantizer, layer: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Integers shaped like `values`, and the float64 scale, broadcastable to them; a scale of 0 becomes 1."""
    quantized, scale = _qkeras_values(values, quantizer)
    unit = scale * _unit(quantizer)
    unit = np.where(unit == 0, 1.0, unit)
    if not np.isfinite(quantized).all() or not (np.isfinite(unit) & (unit > 0)).all():
        raise _inexact(layer, quantizer, "gives NaN, infinity or a negative scale")
    integers = np.rint(quantized / unit)
    # 2**-21 of the magnitudes that entered is four units in float32's last place.
    allowed = 2.0**-21 * (np.abs(values) + np.abs(quantized))
    if (np.abs(quantized - integers * unit) > allowed).any():
        raise _inexact(layer, quantizer, "gives weights that are not integers times its scale")
    return integers.astype(np.int64), unit


def _qkeras_values(values: FloatArray, quantizer: Quantizer) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import qkeras.quantizers
    import tensorflow as tf

    # The name is one of our allow-list, never the file's own text.
    built: Any = getattr(qkeras.quantizers, quantizer.name)(**quantizer.parameters)
    with tf.device("/CPU:0"):
        quantized = np.asarray(built(tf.constant(values)), np.float64)
    return quantized, np.asarray(built.scale, np.float64)


def _unit(quantizer: Quantizer) -> float:
    """Value of integer 1 in multiples of `quantizer.scale`: quantized_bits counts in steps of 2**integer / 2**bits."""
    if quantizer.name != "quantized_bits":
        return 1.0
    fraction = quantizer.integer("bits") - int(quantizer.flag("keep_negative"))
    return 2.0 ** (quantizer.integer("integer") - fraction) if fraction > 0 else 1.0


def _weight_bits(quantizer: Quantizer) -> int:
    """Narrowest packed width, 2, 4 or 8, for every value the quantizer can give."""
    if quantizer.name != "quantized_bits":
        return 2
    bits = quantizer.integer("bits")
    if not quantizer.flag("keep_negative") and not isinstance(quantizer.parameters["alpha"], str):
        bits += 1  # 0 .. 2**bits - 1 needs a sign bit more in two's complement
    if bits == 1:
        return 2
    return next((width for width in (2, 4, 8) if bits <= width), 8)


def _inexact(layer: str, quantizer: Quantizer, what: str) -> StqError:
    return unsupported(
        layer, quantizer.name, f"the quantizer {quantizer} {what}",
        next="use quantized_bits(8,0,1,alpha='auto_po2'), or ternary(alpha='auto_po2')",
        cause="the stored weights and the quantizer's settings do not belong together",
    )  # fmt: skip
