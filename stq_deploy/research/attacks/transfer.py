"""Transfer: samples made on another model by its gradients, and judged on the model under attack.

The steps are those of the momentum iterative method (Dong et al. 2018, arXiv:1710.06081): the gradient, divided by its
mean size, is added to a decaying sum. Every iterate is shown to the model under attack, which keeps the first success.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.research.attacks.abstract_attack import Attack
from stq_deploy.research.attacks.pgd import UNTARGETED
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.steps import direction, random_start

TRANSFER = "transfer: the gradients of another model; the model under attack says only whether it errs"


@dataclass(frozen=True)
class Transfer(Attack):
    """Iterated steps along the gradients of `Search.source`.

    Settings:
        eps, norm: see `Attack`.
        eps_step: pixel units per step; by default eps / 4.
        max_iter: steps.
        num_random_init: runs from random points of the budget's ball; 0: one run from the sample itself.
        loss: the loss to raise: ce, margin or dlr.
        decay: of the sum of gradients; 0 gives PGD.
    """

    name: ClassVar[str] = "transfer"
    title: ClassVar[str] = "Transfer"
    access: ClassVar[str] = TRANSFER
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")

    eps_step: float | None = None
    max_iter: int = 20
    num_random_init: int = 1
    loss: str = "ce"
    decay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps_step is None:
            object.__setattr__(self, "eps_step", self.eps / 4)  # set explicitly, so that it is recorded
        self.require(self.eps_step is not None and self.eps_step > 0, "eps_step", "a positive number")
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(0 <= self.num_random_init <= 1_000, "num_random_init", "0 to 1000")
        self.require(self.loss in UNTARGETED, "loss", f"one of {', '.join(UNTARGETED)}")
        self.require(0 <= self.decay <= 1, "decay", "0 to 1")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        if search.source is None:
            raise StqError(
                "the attack takes gradients from another model, and none is given",
                where="attack transfer",
                next="name it: --from MODEL",
            )
        for _ in range(max(self.num_random_init, 1)):
            self._run_once(search)

    def _run_once(self, search: Search) -> None:
        assert search.source is not None and self.eps_step is not None
        index = search.open
        if not len(index):
            return
        moved = search.x[index].astype(np.float64)
        if self.num_random_init:
            moved = random_start(search.x[index], search.budget, search.streams, index)
        total = np.zeros_like(moved)
        for _ in range(self.max_iter):
            # Continue also with samples that mislead the source: the farther they go, the better they transfer.
            _, _, gradient = search.source.gradient(search.store(index, moved), search.y[index], self.loss)
            size = np.abs(gradient).reshape(len(gradient), -1).mean(axis=1).reshape(-1, *[1] * (moved.ndim - 1))
            total = self.decay * total + gradient / np.maximum(size, 1e-30)
            moved = moved + self.eps_step * direction(total.astype(np.float32), search.budget)
            moved = search.budget.project(moved, search.x[index], search.victim.grid)
            search.query(index, moved)
            standing = ~search.broken[index]
            index, moved, total = index[standing], moved[standing], total[standing]
            if not len(index):
                return
