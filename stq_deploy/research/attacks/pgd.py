"""Projected gradient descent: many small steps, each projected back into the budget (Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stq_deploy.research.attacks.abstract_attack import GRADIENTS, Attack
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.steps import PIXEL, SPREAD, direction, random_start

UNTARGETED = ("ce", "margin", "dlr")


@dataclass(frozen=True)
class Pgd(Attack):
    """Iterated steps from a random start.

    Settings:
        eps, norm: see `Attack`.
        eps_step: pixel units per step; by default eps / 4, so that any budget can be reached.
        max_iter: steps.
        num_random_init: runs from random points of the budget's ball; 0: one run from the sample itself.
        loss: the loss to maximize: ce, margin or dlr.
        l1_step: see `Fgsm`.
    """

    name: ClassVar[str] = "pgd"
    title: ClassVar[str] = "PGD"
    access: ClassVar[str] = GRADIENTS

    eps_step: float | None = None
    max_iter: int = 20
    num_random_init: int = 1
    loss: str = "ce"
    l1_step: str = PIXEL

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps_step is None:
            object.__setattr__(self, "eps_step", self.eps / 4)  # set explicitly, so that it is recorded
        self.require(self.eps_step is not None and self.eps_step > 0, "eps_step", "a positive number")
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(0 <= self.num_random_init <= 1_000, "num_random_init", "0 to 1000")
        self.require(self.loss in UNTARGETED, "loss", f"one of {', '.join(UNTARGETED)}")
        self.require(self.l1_step in (PIXEL, SPREAD), "l1_step", f"{PIXEL} or {SPREAD}")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        for _ in range(max(self.num_random_init, 1)):
            index = search.open
            if not len(index):
                return
            x = search.x[index].astype(np.float64)
            self._run_once(search, random_start(search.x[index], search.budget, search.streams, index)
                           if self.num_random_init else x)  # fmt: skip

    def _run_once(self, search: Search, start: np.ndarray) -> None:
        assert self.eps_step is not None
        index, moved = search.open, start
        for _ in range(self.max_iter):
            _, gradient = search.gradient(index, moved, self.loss)
            standing = ~search.broken[index]
            index, moved = index[standing], moved[standing]
            if not len(index):
                return
            step = self.eps_step * direction(gradient[standing], search.budget, self.l1_step)
            moved = search.budget.project(moved + step, search.x[index], search.victim.grid)
        search.query(index, moved)
