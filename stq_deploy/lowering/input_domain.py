"""The values of a model's input where the model does not state them: from the user, from samples, or as pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.frontend.quantizers import Quantizer, affine_quantizer
from stq_deploy.lowering.ranges import Range, finest_grid
from stq_deploy.network import Network
from stq_deploy.network.input_format import PIXELS, Domain, Values, model_values, unit_interval
from stq_deploy.network.metadata import InputLevels

PIXEL_BITS = 8
MOST_BITS = 16
_PICTURE_CHANNELS = (1, 3)
_TINY, _LARGEST = (float(bound) for bound in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


@dataclass(frozen=True)
class ChosenInput:
    """The choice for an input that no quantizer of the model reads.

    Attributes:
        domain: the values that may occur.
        quantizer: of its levels.
        origin: "user" (--input-range), "samples" (--calibrate) or "pictures" (assumed to be pixels).
    """

    domain: Domain
    quantizer: Quantizer
    origin: str

    @property
    def step(self) -> Fraction:
        """Real value of one level."""
        return Fraction(str(self.quantizer.parameters["scale"]))

    def facts(self) -> InputLevels:
        """For the network's metadata."""
        return InputLevels(
            origin=self.origin,
            low=self.domain.low,
            high=self.domain.high,
            step=float(self.step),
            largest_error=float(self.step / 2),
            share_of_range=float(self.step / 2) / (self.domain.high - self.domain.low),
        )


def choose_input(
    shape: tuple[int, ...],
    input_range: tuple[float, float] | None,
    samples: SampleSet | None,
    bits: int,
    step: Fraction | None = None,
) -> ChosenInput | None:
    """The domain and its levels; None if nothing states the input's values.

    Args:
        shape: of the input.
        input_range: as the user gave it.
        samples: for calibration.
        bits: of the levels, 8 to 16.
        step: real value of one level; None: as fine as the bits allow.

    Raises:
        StqError: the range is too wide or too narrow for float32.
    """
    found = _domain(shape, input_range, samples)
    if found is None:
        return None
    domain, origin = found
    chosen = ChosenInput(domain, input_grid(domain, bits, step), origin)
    if chosen.step < _TINY or max(-domain.low, domain.high) > _LARGEST:
        raise StqError(
            f"float32, in which Keras computes, cannot hold levels of an input from {domain.low:g} to {domain.high:g}",
            cause="an end of the range is mistyped, or the features were not scaled",
            next="scale the features to numbers near 1, train with those, and state their range",
        )
    return chosen


def checked_range(value: Any, where: str = "") -> tuple[float, float] | None:
    """`input_range` as a caller gave it, of any type; None stays None.

    Args:
        where: for the error.

    Raises:
        StqError: it is not two finite numbers, the smaller first.
    """
    if value is None:
        return None
    try:
        low, high = (float(end) for end in value)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high < float("inf") or low == -float("inf"):
        raise StqError(f"input_range={value!r} is not a range", where=where, next="give (low, high), such as (-8, 8)")
    return low, high


def origin_of_input(network: Network) -> str:
    """The origin of the input's domain, as in `ChosenInput.origin`; "" where the file does not state it."""
    stated = network.metadata.input
    return "" if stated is None else stated.origin


def is_assumed(network: Network) -> bool:
    """Whether nothing states the input's domain, so that conversion assumes pixels in [0, 1]."""
    domain = network.input_domain
    pixels = domain is not None and (domain.low, domain.high) == PIXELS
    return pixels and origin_of_input(network) not in ("user", "samples")


def _domain(
    shape: tuple[int, ...], input_range: tuple[float, float] | None, samples: SampleSet | None
) -> tuple[Domain, str] | None:
    if input_range is not None:
        return Domain(*input_range), "user"
    if samples is not None:
        stated = samples.stated_range
        return (Domain(*PIXELS) if stated is None else Domain(*stated, features=True)), "samples"
    if len(shape) == 3 and shape[-1] in _PICTURE_CHANNELS:
        return Domain(*PIXELS), "pictures"
    return None


def input_grid(domain: Domain, bits: int, step: Fraction | None = None) -> Quantizer:
    """Evenly spaced levels, real 0 among them, that reach both ends of the domain.

    There are 256 levels with 8 bits. With more, the distance from 0 fits `bits` bits with a sign, as kernels require.
    """
    span = Range(min(domain.low, 0.0), max(domain.high, 0.0))
    if bits == PIXEL_BITS and step is None:
        return finest_grid(span)
    low, high = Fraction(span.low), Fraction(span.high)
    scale = max(-low, high) / (2 ** (bits - 1) - 1) if step is None else step
    return affine_quantizer(round(low / scale), round(high / scale), scale)


def calibration_values(samples: SampleSet, input_range: tuple[float, float] | None) -> Values:
    """Calibration samples (N, *shape) as the model's values.

    Raises:
        StqError: features that lie outside the range that the user gave.
    """
    if not samples.holds_features:
        return model_values(samples.x, *(input_range or PIXELS))
    values = unit_interval(samples.x)
    if input_range is not None:
        low, high = (np.float32(bound) for bound in input_range)
        outside = (values < low) | (values > high)
        if outside.any():
            count = int(outside.reshape(len(values), -1).any(axis=1).sum())
            raise StqError(
                f"{count:,} of {len(values):,} calibration samples hold values outside --input-range {low:g} {high:g}; "
                f"they run from {values.min():g} to {values.max():g}",
                next="give a range that holds all values, or leave --input-range out: the sample file states one",
            )
    return values
