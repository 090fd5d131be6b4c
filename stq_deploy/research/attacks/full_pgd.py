"""Projected gradient descent that takes all its steps: for victims whose answers are random.

Against a noise defense the first success lies next to the boundary, or is luck, and fresh noise undoes it. Athalye et
al. 2018 therefore average the gradient over the noise and go on to the last step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stq_deploy.research.attacks.pgd import Pgd
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.steps import direction, random_start


@dataclass(frozen=True)
class FullPgd(Pgd):
    """All steps of one run, for every sample; the last candidate is kept, whatever earlier answers were.

    Settings: those of `Pgd`. num_random_init is 0 (begin at the sample itself) or 1.
    """

    name: ClassVar[str] = "pgd-full"
    title: ClassVar[str] = "PGD, all steps"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.num_random_init <= 1, "num_random_init", "0 or 1: of several runs only the last would count")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        assert self.eps_step is not None
        index, moved = np.arange(len(search.x)), search.x.astype(np.float64)
        if self.num_random_init:
            moved = random_start(search.x, search.budget, search.streams, index)
        for _ in range(self.max_iter):
            _, gradient = search.gradient(index, moved, self.loss)
            step = self.eps_step * direction(gradient, search.budget, self.l1_step)
            moved = search.budget.project(moved + step, search.x, search.victim.grid)
        search.replace(index, moved)
