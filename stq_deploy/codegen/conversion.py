"""How numbers become input levels on a device: as `network.input_format` defines it, bit for bit.

A level is a step function of a float32, so thresholds describe it exactly. They are compared as integers, and no option
of a compiler changes the result. Where they would take too much flash, the device computes in floating point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from stq_deploy.codegen import literals
from stq_deploy.network import Network
from stq_deploy.network.input_format import InputFormat, LinearRounding, ThresholdRounding

MAXIMUM_ENTRIES = 4096
"""Largest number of entries of a table: 16 KiB of thresholds."""
PIXELS = 256

Keys = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class InputConversion:
    """Pixels and numbers to levels, as the template writes it.

    Attributes:
        rows: element i of a sample is converted by row i mod `rows`.
        thresholds: int32 (rows, levels - 1), ascending, of `float_keys`; None where the device computes.
        falling_rows: int8 (rows,), 1 where the level falls as the value rises.
        factors, offsets: constants of type double for each row; empty where values are divided by `divisor`.
        lowest, highest: numbers, before the zero point, from which on the level is the lowest or the highest.
        pixel_offset: level of pixel p minus p, if all pixels have the same difference; else None.
        pixel_levels: (rows, 256) levels of pixels; None where a pixel becomes a number of `pixel_values` first.
        pixel_values: uint32 (256,), the bits of the model's value of each pixel; None if it takes no pixels.
    """

    rows: int
    thresholds: Keys | None
    falling_rows: npt.NDArray[np.int8]
    factors: tuple[str, ...]
    offsets: tuple[str, ...]
    divisor: str
    lowest: str
    highest: str
    pixel_offset: int | None
    pixel_levels: npt.NDArray[np.int64] | None
    pixel_values: npt.NDArray[np.uint32] | None

    @property
    def falling(self) -> bool:
        """Whether any row falls."""
        return bool(self.falling_rows.any())


def conversion_of(network: Network) -> InputConversion:
    """The conversion of a network's input."""
    form = _one_pixel(network.input_format)
    spec = form.type
    levels = spec.maximum - spec.minimum
    is_table = spec.elements * levels <= MAXIMUM_ENTRIES or isinstance(form.rounding, ThresholdRounding)
    falling = _falling(form)
    rounding = form.rounding if isinstance(form.rounding, LinearRounding) else None
    values = _pixel_values(network)
    pixels = None if values is None else form.levels(np.repeat(values[:, None], spec.elements, axis=1)).T
    return InputConversion(
        rows=spec.elements,
        thresholds=_thresholds(form, falling) if is_table else None,
        falling_rows=falling.astype(np.int8),
        factors=tuple(literals.real(float(f)) for f in rounding.factor) if rounding else (),
        offsets=tuple(literals.real(float(o)) for o in rounding.offset) if rounding else (),
        divisor=literals.real(float(np.float32(spec.scale))),
        lowest=literals.real(float(spec.minimum - spec.zero_point)),
        highest=literals.real(float(spec.maximum - spec.zero_point)),
        pixel_offset=None if pixels is None else _pixel_offset(pixels),
        pixel_levels=pixels if pixels is not None and pixels.size <= MAXIMUM_ENTRIES else None,
        pixel_values=None if values is None else values.view(np.uint32),
    )


def float_keys(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Floats (any shape) as integers of the same order; -0 comes before 0."""
    bits = np.ascontiguousarray(values).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -1 - (bits & 0x7FFFFFFF), bits)


def key_values(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The floats of `float_keys`."""
    bits = np.where(keys < 0, 0x80000000 | (-1 - keys), keys).astype(np.uint32)
    return bits.view(np.float32)


def _one_pixel(form: InputFormat) -> InputFormat:
    """The same conversion for a sample of one element a row; values outside the domain are clipped."""
    rounding = form.rounding
    rows = 1 if rounding is None else len(rounding.factor if isinstance(rounding, LinearRounding) else rounding.sign)
    return replace(form, type=replace(form.type, shape=(rows,)), domain=None)


def _pixel_values(network: Network) -> npt.NDArray[np.float32] | None:
    """The model's value of each pixel, float32 (256,); None if the network was made for features."""
    domain = network.input_domain
    if domain is not None and domain.features:
        return None
    form = replace(network.input_format, type=replace(network.input_type, shape=(1,)), rounding=None)
    return form.model_values(np.arange(PIXELS, dtype=np.uint8)[:, None])[:, 0]


def _pixel_offset(levels: npt.NDArray[np.int64]) -> int | None:
    """The number added to a pixel to give its level, from levels (rows, 256); None if pixels differ in it."""
    offset = int(levels[0, 0])
    return offset if (levels == np.arange(PIXELS) + offset).all() else None


def _falling(form: InputFormat) -> npt.NDArray[np.bool_]:
    """Which rows' levels fall as the value rises."""
    if isinstance(form.rounding, ThresholdRounding):
        return form.rounding.sign < 0
    if isinstance(form.rounding, LinearRounding):
        return form.rounding.factor < 0
    return np.zeros(form.type.elements, np.bool_)


def _thresholds(form: InputFormat, falling: npt.NDArray[np.bool_]) -> Keys:
    """For each row, the smallest key that reaches each level above the lowest; of minus the value in rows that fall.

    A level that no finite float32 reaches has the key of a NaN, which no value has.
    """
    spec = form.type
    wanted = np.arange(spec.minimum + 1, spec.maximum + 1)[:, None]
    last = int(float_keys(np.array([np.finfo(np.float32).max]))[0])
    low = np.full((len(wanted), spec.elements), -last - 1, np.int64)
    high = np.full_like(low, last + 1)
    while (low < high).any():
        middle = (low + high) // 2
        values = key_values(np.where(falling, -1 - middle, middle).clip(-last - 1, last))
        with np.errstate(over="ignore"):
            reached = form.levels(values) >= wanted
        high = np.where(reached & (low < high), middle, high)
        low = np.where(~reached & (low < high), middle + 1, low)
    infinity = 0x7F800000
    return np.where(low > last, infinity + 1, low).T.astype(np.int32)
