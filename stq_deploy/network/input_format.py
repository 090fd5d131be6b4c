"""How a sample becomes the integer input of the network; the host does this, never the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.errors import StqError
from stq_deploy.network.tensor import TensorType

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]


def unit_interval(x: Samples) -> npt.NDArray[np.float32]:
    """Samples as floats: uint8 is divided by 255 in float32, floats become float32.

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
    check_finite(x)
    return x.astype(np.float32)


def check_finite(x: Samples) -> None:
    """Check samples of floats.

    Raises:
        StqError: some are NaN or infinite.
    """
    finite = np.isfinite(x)
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise StqError(
            f"{int((~finite).sum())} sample values are NaN or infinite, the first at index {first}",
            cause="the attack or the preprocessing that made the samples diverged",
            next="remove or repair those samples",
        )


def model_values(x: Samples, low: float, high: float) -> npt.NDArray[np.float32]:
    """Samples as the float model sees them, if their 0 and 1 (as uint8: 0 and 255) stand for `low` and `high`.

    Raises:
        StqError: another dtype than uint8 or float, NaN or infinite values, or no pixels where those are mapped.
    """
    unit = unit_interval(x)
    if (low, high) == (0.0, 1.0):
        return unit
    if unit.size and not 0 <= float(unit.min()) <= float(unit.max()) <= 1:
        raise StqError(
            f"sample values run from {unit.min():g} to {unit.max():g}, but the network takes pixels in [0, 1] and maps "
            f"them to {low:g}..{high:g} itself",
            next="store x as uint8, or as float in [0, 1]; or convert the model without --input-range",
        )
    return (low + unit.astype(np.float64) * (high - low)).astype(np.float32)


@dataclass(frozen=True)
class InputFormat:
    """What a sample means to a network.

    Attributes:
        type: of the input tensor: what its levels stand for.
        low, high: the values of the model's input that a sample's 0 and 1 (as uint8: 0 and 255) stand for. At 0 and 1
            samples are the model's values themselves; floats may then lie outside [0, 1], as features do.
    """

    type: TensorType
    low: float = 0.0
    high: float = 1.0

    def samples(self, levels: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """Input levels -> the samples, as floats, that they stand for."""
        values = dequantize_input(levels, self.type)
        if (self.low, self.high) == (0.0, 1.0):
            return values
        return ((values.astype(np.float64) - self.low) / (self.high - self.low)).astype(np.float32)


def quantize_input(x: Samples, format: InputFormat) -> npt.NDArray[np.int64]:
    """Samples (N, *format.type.shape), uint8 or float, -> input levels, int64 of the same shape.

    `level = clip(round_half_to_even(value / scale) + zero_point, minimum, maximum)` in float32, which is what QKeras's
    input quantizer computes (for its scales, powers of two, the division is exact).

    Raises:
        StqError: wrong shape or dtype, NaN or infinite values, or no pixels where the network maps those.
    """
    spec = format.type
    if x.ndim != len(spec.shape) + 1 or x.shape[1:] != spec.shape:
        raise StqError(
            f"samples have shape {x.shape[1:]}, the network takes {spec.shape}",
            cause="the samples were made for another network or data set",
            next="choose samples of the network's input shape (N, " + ", ".join(map(str, spec.shape)) + ")",
        )
    scaled = np.rint(model_values(x, format.low, format.high) / np.float32(spec.scale))
    # Clip before the cast: a float outside int64 has no defined integer.
    low, high = spec.minimum - spec.zero_point, spec.maximum - spec.zero_point
    levels: npt.NDArray[np.int64] = np.clip(scaled, low, high).astype(np.int64)
    return levels + spec.zero_point


def dequantize_input(levels: npt.NDArray[np.integer[Any]], spec: TensorType) -> npt.NDArray[np.float32]:
    """Input levels -> the float32 values they stand for: what the float model must see to be compared fairly."""
    return ((levels.astype(np.float64) - spec.zero_point) * spec.scale).astype(np.float32)
