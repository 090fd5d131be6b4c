"""Fast gradient sign method: one step of length eps along the steepest direction (Goodfellow et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stq_deploy.research.attacks.abstract_attack import GRADIENTS, Attack
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.steps import PIXEL, SPREAD, direction


@dataclass(frozen=True)
class Fgsm(Attack):
    """One step.

    Settings:
        eps, norm: see `Attack`; eps in pixel units, 0..1.
        l1_step: how a step in L1 is distributed: "pixel" or "spread", see `steps`.
    """

    name: ClassVar[str] = "fgsm"
    title: ClassVar[str] = "FGSM"
    access: ClassVar[str] = GRADIENTS

    l1_step: str = PIXEL

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.l1_step in (PIXEL, SPREAD), "l1_step", f"{PIXEL} or {SPREAD}")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        index = search.open
        if len(index):
            _, gradient = search.gradient(index, search.x[index], "ce")
            step = direction(gradient, search.budget, self.l1_step)
            search.query(index, search.x[index] + self.eps * step)
