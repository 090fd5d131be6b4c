"""Random noise: the baseline that every attack must beat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from stq_deploy.research.attacks.abstract_attack import BLIND, Attack
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.steps import random_start


@dataclass(frozen=True)
class Noise(Attack):
    """Draws at the edge of the budget: in Linf every value moves by +eps or -eps.

    Settings:
        eps, norm: see `Attack`.
        draws: number per sample.
    """

    name: ClassVar[str] = "noise"
    title: ClassVar[str] = "Random noise"
    access: ClassVar[str] = BLIND

    draws: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.draws <= 1_000_000, "draws", "1 or more")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        for _ in range(self.draws):
            index = search.open
            if not len(index):
                return
            x = search.x[index]
            if self.norm == "inf":
                signs = search.streams.draw(index, partial(_signs, x.shape[1:]))
                moved = x + self.eps * signs * search.budget.unit
            else:
                inside = random_start(x, search.budget, search.streams, index)
                length = search.budget.distance(inside, x).reshape(-1, *[1] * (x.ndim - 1))
                moved = x + (inside - x) * (self.eps / np.maximum(length, 1e-30))
            search.query(index, moved)


def _signs(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    return generator.integers(0, 2, shape) * 2 - 1
