"""No requantization: the accumulator is the level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stq_deploy.network.checks import require
from stq_deploy.network.requantize.form import Accumulators, Form, FormArray


@dataclass(frozen=True, eq=False)
class KeepAccumulator(Form):
    """The accumulator itself, stored in the output's (wider) type; conversion has proved that it fits."""

    channels: int
    minimum: int
    maximum: int
    kind: ClassVar[str] = "keep"

    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C), unchanged."""
        return acc

    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        return bool((sign > 0).all())

    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        inside = bool((low >= self.minimum).all() and (high <= self.maximum).all())
        require(inside, "the accumulator can leave its stated range")

    def arrays(self) -> tuple[FormArray, ...]:
        return ()

    def read_bytes(self, pixels: int) -> int:
        return 0

    def settings(self) -> dict[str, int]:
        return {}
