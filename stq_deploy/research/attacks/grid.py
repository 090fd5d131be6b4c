"""The values that a stored sample can have: pixels k/255, the levels of a feature's quantizer, or any float."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.input_format import Domain
from stq_deploy.network.tensor import TensorType

Samples = npt.NDArray[np.float32]
"""(N, ...) sample values, float32."""


@dataclass(frozen=True)
class Grid:
    """The sample values in [low, high] that are multiples of `step`, or every value there if `step` is 0.

    Attributes:
        low, high: smallest and largest value; multiples of `step`, where there is one.
        step: distance of neighbouring values, in the samples' unit.
    """

    low: float
    high: float
    step: float

    @property
    def is_continuous(self) -> bool:
        """Whether every value in [low, high] can be stored."""
        return self.step == 0

    def to_steps(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Values (any shape) in multiples of the step, unrounded, float64.

        float32 values are off the grid by their own rounding. A value that close to an integer counts as that integer.
        """
        steps = x.astype(np.float64) / self.step
        whole = np.rint(steps)
        return np.where(np.abs(steps - whole) <= _FLOAT32_SLACK * np.maximum(8, np.abs(whole)), whole, steps)

    def from_steps(self, steps: npt.NDArray[Any]) -> Samples:
        """Integer multiples of the step (any shape) -> values, float32."""
        # 1/255 is not a float: a division gives the float32 value that uint8 pixels have everywhere else.
        if self.step == PIXELS.step:
            return np.asarray(steps, np.float32) / np.float32(255)
        return np.asarray(steps * self.step, np.float32)

    def nearest(self, x: npt.NDArray[Any]) -> Samples:
        """The grid's nearest values (any shape), float32, halves to even."""
        inside = self.clip(x)
        return np.asarray(inside, np.float32) if self.is_continuous else self.from_steps(np.rint(self.to_steps(inside)))

    def clip(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (any shape) clipped to [low, high]."""
        return np.asarray(np.clip(x, self.low, self.high))


_FLOAT32_SLACK = 4e-7
"""Relative tolerance; float32 keeps a value to 6e-8 of itself."""

PIXELS = Grid(0.0, 1.0, 1 / 255)
"""The values of a picture file of 8 bits."""

UNROUNDED = Grid(0.0, 1.0, 0.0)
"""Pixels that are stored as floats."""


def feature_grid(type: TensorType, domain: Domain | None = None) -> Grid:
    """The real values of a network's input levels, within the domain if the network has one."""
    low, high = type.minimum - type.zero_point, type.maximum - type.zero_point
    if domain is not None:
        low = max(low, math.ceil(domain.low / type.scale))
        high = min(high, math.floor(domain.high / type.scale))
    return Grid(low * float(type.scale), high * float(type.scale), float(type.scale))
