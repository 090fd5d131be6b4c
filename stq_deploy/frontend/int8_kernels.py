"""Floating-point weights -> 8-bit integers with one scale per output channel, symmetric about 0.

`scale[c] = max|w[c]| / 127`, `integer = round(w / scale)`: the scheme of Krishnamoorthi, "Quantizing deep
convolutional networks for efficient inference" (2018, arXiv:1806.08342), section 3.1. Batch norm after the layer
multiplies a channel by one number, so folding it first would give the same integers; it stays exact instead.
"""

from __future__ import annotations

import numpy as np

from stq_deploy.frontend.source import FloatArray, IntegerKernel

_LARGEST = 127
SCHEME = "int8 per channel"
"""The scheme's name in tables."""


def int8_kernel(values: FloatArray, depthwise: bool) -> IntegerKernel:
    """Quantize a kernel (..., outputs), or depthwise (kh, kw, channels, multiplier), to -127..127."""
    channel_axes = (-2, -1) if depthwise else (-1,)
    others = tuple(axis for axis in range(values.ndim) if axis - values.ndim not in channel_axes)
    largest = np.abs(values.astype(np.float64)).max(axis=others)
    scale = np.where(largest > 0, largest, _LARGEST) / _LARGEST  # a channel of zeros may have any scale
    integers = np.rint(values / scale).astype(np.int8)
    return IntegerKernel(integers, scale.reshape(-1), 8)
