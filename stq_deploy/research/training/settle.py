"""Replaces quantized layers' weights by their quantized values, the only weights of a deployed model."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_ROUNDING = 1e-5
"""Relative rounding error of a scale that is a mean over thousands of float32 values; up to 2e-6 was seen."""

_SHRUNK = (15 / 16, 3 / 4, 9 / 16)
"""qkeras adds 1e-7 to a scale before it rounds it to a power of two, which doubles a dead channel's scale each time.
Values reduced by the right one of these factors get their original scale; found by trial on trained networks."""


def settle(layer: Any) -> None:
    """Settle every weight of `layer` that has a quantizer; others stay."""
    weights = layer.get_weights()
    if not weights or not hasattr(layer, "get_quantizers"):
        return
    # One quantizer per weight, in order; an absent bias has a quantizer of None at the end.
    pairs = zip(weights, layer.get_quantizers()[: len(weights)], strict=True)
    layer.set_weights([value if quantizer is None else settled(quantizer, value) for value, quantizer in pairs])


def settled(quantizer: Any, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights of as few bits as possible that `quantizer` maps to the same values as `weights`.

    Where the quantizer is idempotent, these are the quantized values themselves; ternary, binary and quantized_bits are
    with power-of-two scales. Other scales change by a rounding when they are fitted to their own values, which counts
    as the same. The second time, all values of a channel agree. Otherwise, for each channel (last axis), the values are
    reduced slightly, or the original weights are rounded to as few mantissa bits as suffice.
    """
    wanted = _apply(quantizer, weights)
    if np.allclose(wanted, weights, rtol=_ROUNDING, atol=0):
        return weights
    again = _apply(quantizer, wanted)
    if np.allclose(again, wanted, rtol=_ROUNDING, atol=0):
        return again
    best = wanted.copy()
    candidates = [wanted * np.float32(factor) for factor in _SHRUNK]
    candidates += [round_mantissa(weights, bits) for bits in range(2, 24)]
    for candidate in candidates:
        wrong = np.any(_apply(quantizer, best) != wanted, axis=tuple(range(weights.ndim - 1)))
        if not wrong.any():
            return best
        best[..., wrong] = candidate[..., wrong]
    return weights


def _apply(quantizer: Any, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(quantizer(tf.constant(weights)), np.float32)


def round_mantissa(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """`values` (any shape) rounded to this many significant bits."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(np.float32)
