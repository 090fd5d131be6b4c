"""Random numbers for each sample separately: a sample's attack does not depend on the other samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.intp]
"""(M,) positions of samples in a batch."""


class Streams:
    """One generator per sample.

    Args:
        seed: seed of the whole attack.
        samples: each sample's number in its file; only (seed, number) decides its draws.
    """

    def __init__(self, seed: int, samples: Sequence[int]) -> None:
        self._generators = [np.random.default_rng(np.random.SeedSequence([seed, number])) for number in samples]

    def draw(self, index: Index, one: Callable[[np.random.Generator], Any]) -> npt.NDArray[Any]:
        """The draws of `one` for each of these samples, stacked: (M, ...)."""
        return np.stack([np.asarray(one(self._generators[i])) for i in index])

    def seeds(self, index: Index) -> list[int]:
        """A seed for each of these samples, for a library with a global generator."""
        return [int(self._generators[i].integers(2**31)) for i in index]
