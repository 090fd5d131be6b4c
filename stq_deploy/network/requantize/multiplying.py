"""Forms whose constants are a multiplier and an offset of 32 bits for each channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray
from stq_deploy.network.tensor import fits


def in_int32(*values: npt.NDArray[Any]) -> bool:
    """Whether every number of these arrays of whole numbers, of any type, fits int32."""
    return all(fits("int32", int(numbers.min()), int(numbers.max())) for numbers in values)


class Multiplying(Form):
    """What `MultiplierRequantize`, `PackedRequantize` and `RoundedRequantize` share.

    Attributes:
        multiplier, offset: int32 (C,).
    """

    multiplier: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int32]

    @property
    def channels(self) -> int:
        return len(self.multiplier)

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        return bool((self.multiplier.astype(np.int64) * sign >= 0).all())

    def check_arrays(self) -> None:
        """Check shapes and types.

        Raises:
            ValueError: one is wrong; the message says which.
        """
        same = self.multiplier.shape == self.offset.shape and self.multiplier.ndim == 1
        require(same, "multiplier and offset differ")
        typed = self.multiplier.dtype == np.int32 and self.offset.dtype == np.int32
        require(typed, "multiplier or offset is not int32")

    def arrays(self) -> tuple[FormArray, ...]:
        return (
            FormArray("multiplier", self.multiplier, "multiplier of each output channel"),
            FormArray("offset", self.offset, "offset of each output channel"),
        )

    def read_bytes(self, pixels: int) -> int:
        return pixels * self.nbytes
