"""How a sample becomes the integer input of the network; the host does this, never the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.errors import StqError
from stq_deploy.network.tensor import TensorType

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]


def unit_interval(x: Samples) -> npt.NDArray[np.float32]:
    """Samples as the float model sees them: uint8 is divided by 255 in float32, floats become float32.

    Raises:
        StqError: another dtype, or NaN or infinite values.
    """
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if not np.issubdtype(x.dtype, np.floating):
        raise StqError(
            f"samples are stored as {x.dtype}",
            cause="they are neither uint8 nor float",
            next="store x as uint8, or as float in [0, 1]",
        )
    finite = np.isfinite(x)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise StqError(
            f"{int((~finite).sum())} sample values are NaN or infinite, the first at index {first}",
            cause="the attack or the preprocessing that made the samples diverged",
            next="remove or repair those samples",
        )
    return x.astype(np.float32)


def quantize_input(x: Samples, spec: TensorType) -> npt.NDArray[np.int64]:
    """Samples (N, *spec.shape), uint8 or float, -> input levels, int64 of the same shape.

    `level = clip(round_half_to_even(x / scale) + zero_point, minimum, maximum)` in float32, which is what QKeras's
    input quantizer computes (for its scales, powers of two, the division is exact).

    Raises:
        StqError: wrong shape or dtype, NaN or infinite values.
    """
    if x.ndim != len(spec.shape) + 1 or x.shape[1:] != spec.shape:
        raise StqError(
            f"samples have shape {x.shape[1:]}, the network takes {spec.shape}",
            cause="the samples were made for another network or data set",
            next="choose samples of the network's input shape (N, " + ", ".join(map(str, spec.shape)) + ")",
        )
    scaled = np.rint(unit_interval(x) / np.float32(spec.scale))
    # Clip before the cast: a float outside int64 has no defined integer.
    low, high = spec.minimum - spec.zero_point, spec.maximum - spec.zero_point
    levels: npt.NDArray[np.int64] = np.clip(scaled, low, high).astype(np.int64)
    return levels + spec.zero_point


def dequantize_input(levels: npt.NDArray[np.integer[Any]], spec: TensorType) -> npt.NDArray[np.float32]:
    """Input levels -> the float32 values they stand for: what the float model must see to be compared fairly."""
    return ((levels.astype(np.float64) - spec.zero_point) * spec.scale).astype(np.float32)
