"""How a sample becomes the integer input of the network; the host does this, never the device.

First a sample's numbers become the model's values. Pixels are mapped to the range that the model was trained on;
features already are the model's values. Then values become levels, element by element, by the input's rounding. The
model's own quantizer clips values beyond its levels, as it does in Keras. Where the model has none, the values that the
network was made for are its domain, and a value outside is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.network.tensor import TensorType

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.floating[Any]]
Values = npt.NDArray[np.float32]
"""(N, *input shape): the input of the Keras model."""
Levels = npt.NDArray[np.int64]

PIXELS = (0.0, 1.0)
"""Smallest and largest pixel, where no range maps them."""


@dataclass(frozen=True, eq=False)
class LinearRounding:
    """`clip(round_half_to_even(v * factor + offset) + zero_point, minimum, maximum)`, in float64.

    The last three are those of the input's type.

    Attributes:
        factor, offset: float64 (K,): element i of a sample, counted in C order, uses entry `i mod K`. K is 1, the
            number of channels, or the number of elements.
    """

    factor: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    kind: ClassVar[str] = "linear"

    def check(self, spec: TensorType) -> None:
        """Raises ValueError unless the numbers suit an input of this type."""
        _check_rows(self.factor, spec)
        if self.factor.ndim != 1 or self.offset.shape != self.factor.shape:
            raise ValueError("the input's factors and offsets are not two lists of one length")
        if not (np.isfinite(self.factor).all() and np.isfinite(self.offset).all()):
            raise ValueError("a factor or offset of the input is not finite")

    def unclipped(self, values: Values, spec: TensorType) -> npt.NDArray[np.float64]:
        """Integers (N, *shape): the levels before the clip."""
        rows = (_by_element(self.factor, spec), _by_element(self.offset, spec))
        scaled: npt.NDArray[np.float64] = np.rint(values.astype(np.float64) * rows[0] + rows[1])
        return scaled + spec.zero_point

    def levels(self, values: Values, spec: TensorType) -> Levels:
        """Levels (N, *shape) of values (N, *shape)."""
        return np.clip(self.unclipped(values, spec), spec.minimum, spec.maximum).astype(np.int64)

    def values(self, levels: npt.NDArray[np.integer[Any]], spec: TensorType) -> Values:
        """A value that becomes each level; 0 where the level does not depend on the value."""
        factor, offset = _by_element(self.factor, spec), _by_element(self.offset, spec)
        real = (levels.astype(np.float64) - spec.zero_point - offset) / np.where(factor == 0, 1, factor)
        return np.where(factor == 0, 0, real).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ThresholdRounding:
    """`minimum + #{t in thresholds[k] : sign[k] * v >= t}`, for any monotone function.

    Attributes:
        thresholds: float32 (K, L), ascending along L; -inf is always reached, inf never. K as in `LinearRounding`.
        sign: int8 (K,): -1 where the level falls as the value rises, else 1.
    """

    thresholds: npt.NDArray[np.float32]
    sign: npt.NDArray[np.int8]
    kind: ClassVar[str] = "threshold"

    def check(self, spec: TensorType) -> None:
        """Raises ValueError unless the numbers suit an input of this type."""
        _check_rows(self.sign, spec)
        if self.thresholds.ndim != 2 or self.sign.shape != self.thresholds.shape[:1]:
            raise ValueError("the input's thresholds are not a row for each sign")
        if self.thresholds.shape[1] != spec.maximum - spec.minimum:
            raise ValueError("the input has not one threshold for every level but the lowest")
        # NaN is not >= anything
        if not (self.thresholds[:, 1:] >= self.thresholds[:, :-1]).all() or np.isnan(self.thresholds).any():
            raise ValueError("the input's thresholds do not ascend")
        if not np.isin(self.sign, (-1, 1)).all():
            raise ValueError("a sign of the input is neither 1 nor -1")

    def levels(self, values: Values, spec: TensorType) -> Levels:
        """Levels (N, *shape) of values (N, *shape)."""
        flat = values.reshape(len(values), -1)
        found = np.empty(flat.shape, np.int64)
        for k in range(len(self.sign)):
            signed = flat[:, k :: len(self.sign)] * np.float32(self.sign[k])
            found[:, k :: len(self.sign)] = np.searchsorted(self.thresholds[k], signed, side="right")
        return (found + spec.minimum).reshape(values.shape)

    def values(self, levels: npt.NDArray[np.integer[Any]], spec: TensorType) -> Values:
        """A value that becomes each level; for a level that no value becomes, the nearest threshold."""
        flat = levels.reshape(len(levels), -1) - spec.minimum
        found = np.empty(flat.shape, np.float32)
        for k in range(len(self.sign)):
            middles = _middles(self.thresholds[k])
            found[:, k :: len(self.sign)] = np.float32(self.sign[k]) * middles[flat[:, k :: len(self.sign)]]
        return found.reshape(levels.shape)


InputRounding = LinearRounding | ThresholdRounding
ROUNDING_KINDS: dict[str, type[InputRounding]] = {cls.kind: cls for cls in (LinearRounding, ThresholdRounding)}


@dataclass(frozen=True)
class Domain:
    """The values that a network was made for, where the model itself does not define them.

    Attributes:
        low, high: the smallest and the largest value of the model's input.
        features: whether the values are features; pixels are then refused.
    """

    low: float
    high: float
    features: bool = False

    def check(self) -> None:
        """Raises ValueError unless low and high form a range."""
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"the input's domain runs from {self.low} to {self.high}")


@dataclass(frozen=True)
class InputFormat:
    """How a network reads samples.

    Attributes:
        type: type of the input tensor, which defines its levels' real values.
        low, high: the values of the model's input that a pixel's 0 and 1 (as uint8: 0 and 255) stand for.
        rounding: None where a level is the value divided by the type's scale, rounded.
        domain: None where the model's own quantizer defines the values, and clips the others.
    """

    type: TensorType
    low: float = PIXELS[0]
    high: float = PIXELS[1]
    rounding: InputRounding | None = None
    domain: Domain | None = None

    def model_values(self, x: Samples, *, features: bool = False) -> Values:
        """Samples (N, *shape) as the values that the Keras model takes: nothing is clipped or rounded.

        Args:
            features: x holds the model's values instead of pixels.

        Raises:
            StqError: wrong shape or dtype, NaN or infinite values, values outside a pixel's range where pixels are
                mapped, or pixels where the network was made for features.
        """
        shape = self.type.shape
        if x.ndim != len(shape) + 1 or x.shape[1:] != shape:
            if len(shape) > 1 and x.shape[1:] == (shape[-1], *shape[:-1]):
                order = (0, *range(2, len(shape) + 1), 1)
                raise StqError(
                    f"samples have shape {x.shape[1:]}, the network takes {shape}",
                    cause="the samples have their channels first, as PyTorch and ONNX have them",
                    next=f"put the channels last: numpy.transpose(x, {order})",
                )
            raise StqError(
                f"samples have shape {x.shape[1:]}, the network takes {shape}",
                cause="the samples were made for another network or data set",
                next="choose samples of the network's input shape (N, " + ", ".join(map(str, shape)) + ")",
            )
        if features:
            return unit_interval(x)
        if self.domain is not None and self.domain.features:
            raise StqError(
                "the samples are pixels, and the network was made for features",
                cause="the sample file states no range, so its values are taken for pixels in [0, 1]",
                next='state the range of the features in the sample file\'s metadata, such as {"range": [-8, 8]}',
            )
        return model_values(x, self.low, self.high)

    def outside(self, values: Values) -> npt.NDArray[np.bool_]:
        """Mask of the values (N, *shape) outside the domain, or beyond the levels of the model's own quantizer."""
        if self.domain is not None:
            return (values < np.float32(self.domain.low)) | (values > np.float32(self.domain.high))
        if isinstance(self.rounding, ThresholdRounding):
            return np.zeros(values.shape, np.bool_)  # a curve that saturates has no ends
        unclipped = self._unclipped(values)
        return (unclipped < self.type.minimum) | (unclipped > self.type.maximum)

    def levels(self, values: Values) -> Levels:
        """The model's values (N, *shape) -> input levels.

        Raises:
            StqError: a value is outside the domain.
        """
        if self.domain is not None:
            self._check_domain(values)
        if isinstance(self.rounding, ThresholdRounding):
            return self.rounding.levels(values, self.type)
        # Clip before the cast: a float outside int64 has no defined integer.
        unclipped = self._unclipped(values)
        levels: Levels = np.clip(unclipped, self.type.minimum, self.type.maximum).astype(np.int64)
        return levels

    def values(self, levels: npt.NDArray[np.integer[Any]]) -> Values:
        """Input levels -> values of the model's input that become these levels."""
        if self.rounding is not None:
            return self.rounding.values(levels, self.type)
        return dequantize_input(levels, self.type)

    def samples(self, levels: npt.NDArray[np.integer[Any]]) -> Values:
        """Input levels -> their pixels, as floats, or features."""
        values = self.values(levels)
        if (self.low, self.high) == PIXELS:
            return values
        return ((values.astype(np.float64) - self.low) / (self.high - self.low)).astype(np.float32)

    def _unclipped(self, values: Values) -> npt.NDArray[np.floating[Any]]:
        if isinstance(self.rounding, LinearRounding):
            return self.rounding.unclipped(values, self.type)
        # In float32, as in QKeras: its scales are powers of two, so the division is exact.
        scaled: Values = np.rint(values / np.float32(self.type.scale))
        return scaled + np.float32(self.type.zero_point)

    def _check_domain(self, values: Values) -> None:
        assert self.domain is not None
        outside = self.outside(values)
        if not outside.any():
            return
        samples = int(outside.reshape(len(values), -1).any(axis=1).sum())
        seen = f"{values.min():g} to {values.max():g}"
        raise StqError(
            f"{samples:,} of {len(values):,} samples hold values outside the network's domain "
            f"[{self.domain.low:g}, {self.domain.high:g}]: {int(outside.sum()):,} of {values.size:,} values, "
            f"which run from {seen}",
            cause="the network was converted for another range of the input",
            next="convert the model with --input-range LOW HIGH, or --calibrate SAMPLES.npz, for all values that occur",
        )


def unit_interval(x: Samples) -> Values:
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
    if x.size == 0 or (np.isfinite(x.min()) and np.isfinite(x.max())):  # either is NaN if any value is
        return
    finite = np.isfinite(x)
    first = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), x.shape))
    raise StqError(
        f"{int(x.size - finite.sum())} sample values are NaN or infinite, the first at index {first}",
        cause="the attack or the preprocessing that made the samples diverged",
        next="remove or repair those samples",
    )


def model_values(x: Samples, low: float, high: float) -> Values:
    """Pixels as the float model sees them, if their 0 and 1 (as uint8: 0 and 255) mean `low` and `high`.

    Raises:
        StqError: another dtype than uint8 or float, NaN or infinite values, or values outside a pixel's range where
            pixels are mapped.
    """
    unit = unit_interval(x)
    if (low, high) == PIXELS:
        return unit
    if unit.size and not 0 <= float(unit.min()) <= float(unit.max()) <= 1:
        raise StqError(
            f"sample values run from {unit.min():g} to {unit.max():g}, but the network takes pixels in [0, 1] and maps "
            f"them to {low:g}..{high:g} itself",
            next="store x as uint8, or as float in [0, 1]; or state the features' range in the sample file's metadata",
        )
    return (low + unit.astype(np.float64) * (high - low)).astype(np.float32)


def quantize_input(x: Samples, format: InputFormat, *, features: bool = False) -> Levels:
    """Samples (N, *format.type.shape), uint8 or float, -> input levels, int64 of the same shape.

    Args:
        features: x holds the model's values instead of pixels.

    Raises:
        StqError: as `InputFormat.model_values` and `InputFormat.levels`.
    """
    return format.levels(format.model_values(x, features=features))


def dequantize_input(levels: npt.NDArray[np.integer[Any]], spec: TensorType) -> Values:
    """Input levels -> their float32 values in the network."""
    values: Values = ((levels.astype(np.float64) - spec.zero_point) * spec.scale).astype(np.float32)
    return values


def pixel_domain(spec: TensorType, low: float, high: float) -> Domain | None:
    """The domain of an input whose levels span exactly the pixels `low`..`high`, as in files of version 1; None if they
    do not, because a quantizer then defines them.
    """
    ends = ((spec.minimum - spec.zero_point) * spec.scale, (spec.maximum - spec.zero_point) * spec.scale)
    near = all(abs(end - bound) < spec.scale / 4 for end, bound in zip(ends, (low, high), strict=True))
    return Domain(low, high) if near else None


def _check_rows(rows: npt.NDArray[Any], spec: TensorType) -> None:
    if len(rows) not in (1, spec.channels, spec.elements):
        raise ValueError(f"the input's rounding has {len(rows)} rows, for a shape of {spec.shape}")


def _by_element(rows: npt.NDArray[Any], spec: TensorType) -> npt.NDArray[Any]:
    """(K,) as an array that broadcasts with (N, *shape)."""
    return rows if len(rows) in (1, spec.channels) else rows.reshape(spec.shape)


def _middles(thresholds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """For 0 .. L reached thresholds, a number that reaches exactly these; the nearest threshold where there is none."""
    finite = thresholds[np.isfinite(thresholds)]
    if not len(finite):
        return np.zeros(len(thresholds) + 1, np.float32)
    margin = 1 + np.abs(finite).max()
    edges = np.clip(np.concatenate([[-np.inf], thresholds, [np.inf]]), finite[0] - margin, finite[-1] + margin)
    below, above = edges[:-1].astype(np.float64), edges[1:].astype(np.float64)
    middles: npt.NDArray[np.float32] = ((below + above) / 2).astype(np.float32)
    # The middle of neighbouring float32 numbers rounds to either; the lower end is reached, the upper is not.
    inside: npt.NDArray[np.float32] = np.where(middles >= above, below, middles).astype(np.float32)
    return inside
