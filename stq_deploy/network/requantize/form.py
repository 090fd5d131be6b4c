"""What every requantization form defines: its formula, its proof obligations, its checks and its arrays."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Accumulators = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class FormArray:
    """An array that a kernel reads to requantize.

    Attributes:
        field: of the C structure `stq_requantize` that points to it.
        values: its content; not empty.
        note: what an element is, in a few words.
    """

    field: str
    values: npt.NDArray[np.integer[Any]]
    note: str


class Form(ABC):
    """A function from accumulators to levels, with one set of constants for each channel (the last axis).

    A subclass is a dataclass with the constants, and with `channels`, `minimum` and `maximum`, the least and the
    greatest level. A form that leaves one of these methods out cannot be made.
    """

    kind: ClassVar[str]
    """Its name in .stq files, and in C: `STQ_REQUANTIZE_<KIND>`."""

    @abstractmethod
    def apply(self, acc: Accumulators) -> Accumulators:
        """int64 (..., C) accumulators -> int64 (..., C) levels."""

    @abstractmethod
    def rises(self, sign: Accumulators, low: Accumulators, high: Accumulators) -> bool:
        """Whether no channel's level falls as `sign[c] * acc` rises, for accumulators in [low[c], high[c]]."""

    @abstractmethod
    def check_constants(self, low: Accumulators, high: Accumulators) -> None:
        """Check types and shapes of the constants, and the absence of overflows for accumulators in [low, high].

        Args:
            low, high: int64 (C,).

        Raises:
            ValueError: a constant is wrong; the message says which.
        """

    @abstractmethod
    def arrays(self) -> tuple[FormArray, ...]:
        """The arrays that a kernel reads, in the order they are stored."""

    @abstractmethod
    def settings(self) -> dict[str, int]:
        """The other fields of the C structure `stq_requantize` that the form uses, and their values."""

    @abstractmethod
    def read_bytes(self, pixels: int) -> int:
        """Bytes of the arrays that a kernel reads to requantize all channels of `pixels` pixels."""

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.values.nbytes for array in self.arrays())
