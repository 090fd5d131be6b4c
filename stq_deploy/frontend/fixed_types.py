"""Fixed-point types as hls4ml states them, and weights rounded to them.

`fixed<W,I,Q,O>` has W bits, I of them before the point (the sign's among them). Q is the rounding
to the step 2**(I - W). O is the treatment of numbers outside the range: saturation or wrapping. Both are defined as for
`ap_fixed` in AMD's Vitis HLS user guide (UG1399), "Arbitrary Precision Fixed-Point Data Types".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend.source import FloatArray, IntegerKernel

Reals = npt.NDArray[np.float64]
MOST_BITS = 16
_MOST_OF_A_SUM = 2**15
"""Bound of the magnitudes of an output's weights, added: its products with inputs of 16 bits fit 32 bits."""

_ROUNDINGS: dict[str, Callable[[Reals], Reals]] = {
    "TRN": np.floor,
    "TRN_ZERO": np.trunc,
    "RND": lambda p: np.floor(p + 0.5),
    "RND_ZERO": lambda p: np.copysign(np.ceil(np.abs(p) - 0.5), p),
    "RND_INF": lambda p: np.copysign(np.floor(np.abs(p) + 0.5), p),
    "RND_MIN_INF": lambda p: np.ceil(p - 0.5),
    "RND_CONV": np.rint,
}
ROUNDINGS = tuple(_ROUNDINGS)
SATURATIONS = ("WRAP", "SAT", "SAT_ZERO", "SAT_SYM")


@dataclass(frozen=True)
class FixedType:
    """`fixed<bits, integer, rounding, saturation>`, or `ufixed` without a sign."""

    bits: int
    integer: int
    signed: bool = True
    rounding: str = "TRN"
    saturation: str = "WRAP"

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}fixed<{self.bits},{self.integer},{self.rounding},{self.saturation}>"

    @property
    def step(self) -> Fraction:
        """Distance of neighbouring numbers."""
        return Fraction(2) ** (self.integer - self.bits)

    @property
    def levels(self) -> tuple[int, int]:
        """Smallest and largest number, in steps."""
        high = 2 ** (self.bits - self.signed) - 1
        if not self.signed:
            return 0, high
        return (-high if self.saturation == "SAT_SYM" else -high - 1), high

    def round(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Numbers in steps, rounded and brought into the range as hls4ml does; bits <= 48."""
        low, high = self.levels
        rounded = _ROUNDINGS[self.rounding](np.asarray(values, np.float64) / float(self.step))
        if self.saturation == "WRAP":
            return ((rounded - low) % (high - low + 1) + low).astype(np.int64)
        inside = np.clip(rounded, low, high)
        if self.saturation == "SAT_ZERO":
            inside = np.where(rounded == inside, inside, 0)
        return inside.astype(np.int64)


@dataclass(frozen=True)
class LayerTypes:
    """The types that are stated for one layer: of its kernels in their order, its bias, and its result."""

    weights: tuple[FixedType, ...] = ()
    bias: FixedType | None = None
    result: FixedType | None = None


@dataclass(frozen=True)
class StatedTypes:
    """The types of a model's layers.

    Attributes:
        default: of weights and biases of a layer that is not listed.
        layers: by the layer's name.
    """

    default: FixedType
    layers: Mapping[str, LayerTypes] = field(default_factory=dict)

    def kernel(self, layer: str, number: int, values: FloatArray, depthwise: bool) -> IntegerKernel:
        """A layer's kernel, the `number`-th of the layer."""
        stated = self.layers.get(layer, LayerTypes()).weights
        return fixed_kernel(values, depthwise, stated[number] if number < len(stated) else self.default)

    def bias(self, layer: str, values: FloatArray) -> Reals:
        """A layer's bias, exact."""
        type_ = self.layers.get(layer, LayerTypes()).bias or self.default
        return np.asarray(type_.round(values) * float(type_.step), np.float64)


def fixed_kernel(values: FloatArray, depthwise: bool, type_: FixedType) -> IntegerKernel:
    """A kernel (..., outputs), or depthwise (kh, kw, channels, multiplier), in numbers of a type.

    Where the type is too fine for 16 bits, or for sums of 32 bits, they are rounded again, to the finest step that is
    not.
    """
    exact = type_.round(values)
    outputs = exact.shape[-2:] if depthwise else exact.shape[-1:]
    sums = np.abs(exact).reshape(-1, *outputs).sum(axis=0)
    shift = 0
    largest, most = int(np.abs(exact).max(initial=0)), int(sums.max(initial=0))
    while largest >> shift >= 2 ** (MOST_BITS - 1) or most >> shift > _MOST_OF_A_SUM:
        shift += 1
    integers = np.rint(exact / 2.0**shift).astype(np.int64)
    integers = np.clip(integers, -(2 ** (MOST_BITS - 1)), 2 ** (MOST_BITS - 1) - 1)
    widest = max(int(integers.max(initial=0)), -int(integers.min(initial=0)) - 1)
    bits = next(width for width in (2, 4, 8, 16) if widest < 2 ** (width - 1))
    scale = np.full(int(np.prod(outputs)), float(type_.step) * 2.0**shift)
    return IntegerKernel(integers.astype(np.int16) if bits == MOST_BITS else integers.astype(np.int8), scale, bits)
