"""Float kernels -> integers, a scale per output channel, and the width of a packed weight."""

from __future__ import annotations

import numpy as np

from stq_deploy.frontend.errors import unsupported
from stq_deploy.frontend.fold import folded_bias, folded_kernel, processor_dependent
from stq_deploy.frontend.int8_kernels import int8_kernel
from stq_deploy.frontend.quantizer_values import quantized_integers
from stq_deploy.frontend.quantizers import Quantizer, trainable
from stq_deploy.frontend.source import FloatBias, FloatKernel, IntegerKernel

PACKED_WIDTHS = (1, 2, 4, 8, 16)


def integer_kernel(kernel: FloatKernel, layer: str, depthwise: bool) -> IntegerKernel:
    """Quantize a kernel, by int8 per channel where it has no quantizer.

    Args:
        layer: the Keras layer's name, for errors.
        depthwise: the kernel is (kh, kw, channels, multiplier), with an output for each of the last two.

    Raises:
        StqError: the quantizer's values are not integers times one scale per output channel.
    """
    values = folded_kernel(kernel, depthwise)
    if kernel.quantizer is None:
        return int8_kernel(values.reshape(kernel.shape), depthwise)
    quantizer = trainable(kernel.quantizer)
    integers, unit = quantized_integers(values, quantizer, layer)
    per_output = np.broadcast_to(unit, integers.shape).reshape(kernel.shape)
    per_output = per_output.reshape(-1, *kernel.shape[-2 if depthwise else -1 :])
    if (per_output != per_output[0]).any():
        raise unsupported(
            layer, quantizer.name, f"the quantizer {quantizer} has several scales within one output channel",
            next="leave out scale_axis",
        )  # fmt: skip
    bits = packed_bits(quantizer)
    if quantizer.powers_of_two:  # they seldom span what 16 bits hold
        bits = _width(int(max(integers.max(), -integers.min() - 1)).bit_length() + 1)
    integers = integers.reshape(kernel.shape)
    stored = integers.astype(np.int16) if bits == 16 else integers.astype(np.int8)
    return IntegerKernel(stored, per_output[0].reshape(-1).copy(), bits)


def undecided_weights(kernel: FloatKernel, layer: str, depthwise: bool) -> int:
    """How many weights TensorFlow may quantize otherwise on another processor; see `integer_kernel`."""
    if kernel.quantizer is None or kernel.fold is None:
        return 0
    quantizer = trainable(kernel.quantizer)
    return processor_dependent(
        lambda ulps: quantized_integers(folded_kernel(kernel, depthwise, ulps), quantizer, layer)[0]
    )


def undecided_biases(bias: FloatBias, layer: str) -> int:
    """The same of a quantized bias; without a quantizer it only moves by a few units in float32's last place."""
    quantizer = bias.quantizer
    if quantizer is None or bias.fold is None:
        return 0
    return processor_dependent(lambda ulps: quantized_integers(folded_bias(bias, ulps), quantizer, layer)[0])


def packed_bits(quantizer: Quantizer) -> int:
    """Narrowest width of a packed weight for every value that the quantizer of a kernel can give."""
    quantizer = trainable(quantizer)
    if quantizer.name in ("binary", "stochastic_binary"):
        return 1
    if quantizer.name in ("ternary", "stochastic_ternary"):
        return 2
    if quantizer.powers_of_two:
        return PACKED_WIDTHS[-1]
    bits, negative = quantizer.integer("bits"), quantizer.flag("keep_negative")
    if bits == 1:
        return 1  # -1 and 1, or 0 and 1
    signed = negative or (quantizer.name == "quantized_bits" and isinstance(quantizer.parameters["alpha"], str))
    return _width(bits + (not signed))  # 0 .. 2**bits - 1 needs a sign bit more in two's complement


def _width(bits: int) -> int:
    return next(width for width in PACKED_WIDTHS if bits <= width)
