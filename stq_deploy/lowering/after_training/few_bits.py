"""Floating-point kernels as integers of few bits, with the scale of each output channel that has the least error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.frontend.int8_kernels import int8_kernel

Reals = npt.NDArray[np.float64]

_PARTS = np.linspace(1.0, 0.3, 36)  # of the range up to the largest weight
_INT8 = 8


def few_bit_kernel(
    values: s.FloatArray, depthwise: bool, bits: int, importance: Reals | None = None
) -> s.IntegerKernel:
    """A kernel rounded to the nearest of `2**bits` integers; 8 bits as `int8_kernel`.

    Args:
        values: (..., outputs), or depthwise (kh, kw, channels, multiplier).
        bits: 2, 4 or 8.
        importance: of each weight's squared error, broadcastable to `values`; None: all count alike.
    """
    if bits == _INT8:
        return int8_kernel(values, depthwise)
    axes = _summed(values, depthwise)
    low, high = integer_range(bits)
    exact, weight = values.astype(np.float64), np.ones(1) if importance is None else importance
    largest = np.abs(exact).max(axis=axes, keepdims=True)
    largest = np.where(largest > 0, largest, high)  # a channel of zeros may have any scale
    best = largest / high
    error = np.full_like(largest, np.inf)
    for part in _PARTS:
        scale = largest * (part / high)
        moved = np.clip(np.rint(exact / scale), low, high) * scale - exact
        found = (weight * moved**2).sum(axis=axes, keepdims=True)
        best, error = np.where(found < error, scale, best), np.minimum(found, error)
    integers = np.clip(np.rint(exact / best), low, high).astype(np.int8)
    return s.IntegerKernel(integers, best.reshape(-1).copy(), bits)


def integer_range(bits: int) -> tuple[int, int]:
    """The smallest and the largest integer of a weight: two's complement, but symmetric about 0 with 8 bits."""
    high = 2 ** (bits - 1) - 1
    return (-high if bits == _INT8 else -high - 1), high


def kernel_values(kernel: s.IntegerKernel, depthwise: bool) -> Reals:
    """The numbers that a kernel stands for, shaped as its integers."""
    scale = kernel.scale.reshape(kernel.integers.shape[-2:]) if depthwise else kernel.scale
    return np.asarray(kernel.integers * scale, np.float64)


def _summed(values: s.FloatArray, depthwise: bool) -> tuple[int, ...]:
    """The axes that one output channel sums over."""
    return tuple(range(values.ndim - (2 if depthwise else 1)))
