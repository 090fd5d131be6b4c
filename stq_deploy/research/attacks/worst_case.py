"""Worst case: our own attacks one after the other, each on the samples that the earlier ones have not broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stq_deploy.research.attacks.abstract_attack import GRADIENTS, Attack
from stq_deploy.research.attacks.apgd import Apgd, ApgdTargeted
from stq_deploy.research.attacks.pgd import Pgd
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.square import Square


@dataclass(frozen=True)
class WorstCase(Attack):
    """PGD from several random starts, APGD-CE, APGD-T and Square, in this order; a sample keeps the first success.

    Settings:
        eps, norm: see `Attack`.
        max_iter: steps of each run with gradients.
        restarts: of PGD, in steps of eps / 10.
        targets: of APGD-T.
        queries: of Square, which is left out for samples that are not pictures.
    """

    name: ClassVar[str] = "worst"
    title: ClassVar[str] = "Worst case"
    access: ClassVar[str] = GRADIENTS
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")

    max_iter: int = 50
    restarts: int = 5
    targets: int = 9
    queries: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(1 <= self.restarts <= 1_000, "restarts", "1 to 1000")
        self.require(1 <= self.targets <= 10_000, "targets", "1 or more")
        self.require(1 <= self.queries <= 1_000_000, "queries", "1 or more")

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """In the order they run."""
        eps, norm = self.eps, self.norm
        return (
            Pgd(eps, norm, eps_step=eps / 10, max_iter=self.max_iter, num_random_init=self.restarts),
            Apgd(eps, norm, max_iter=self.max_iter),
            ApgdTargeted(eps, norm, max_iter=self.max_iter, targets=self.targets),
            Square(eps, norm, max_iter=self.queries),
        )

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        for attack in self.attacks:
            if len(search.open) and (attack.name != Square.name or search.x.ndim == 4):
                attack.run(search)
