"""HopSkipJump: the boundary's normal, estimated from decisions alone (Chen et al. 2020, arXiv:1904.02144)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stq_deploy.research.attacks._art import attack_each, random_start_of_another_class
from stq_deploy.research.attacks.base import DECISIONS, L2_BUDGET, Attack
from stq_deploy.research.attacks.budget import NORMS
from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.search import Search


@dataclass(frozen=True)
class HopSkipJump(Attack):
    """Starts from a random picture of another class, and comes ever closer to the sample.

    A sample that it does not bring within eps stays unchanged.

    Settings:
        eps, norm: see `Attack`; the distance is made small in this norm.
        max_iter: rounds.
        max_eval, init_eval: most queries, and first number of queries, for a normal.
        init_size: random pictures to begin with.
        max_queries: most queries per sample; 0: no limit.
    """

    name: ClassVar[str] = "hopskipjump"
    title: ClassVar[str] = "HopSkipJump"
    access: ClassVar[str] = DECISIONS
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")
    smallest: ClassVar[bool] = True

    eps: float = L2_BUDGET
    norm: str = "2"
    max_iter: int = 10
    max_eval: int = 1000
    init_eval: int = 100
    init_size: int = 100
    max_queries: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(1 <= self.init_eval <= self.max_eval <= 1_000_000, "max_eval", "at least init_eval")
        self.require(1 <= self.init_size <= 10_000, "init_size", "1 to 10000")
        enough = self.max_queries == 0 or self.init_size < self.max_queries <= 10_000_000
        self.require(
            enough, "max_queries", f"0, or more than init_size, {self.init_size}: these queries find the start"
        )

    @property
    def most_queries(self) -> int | None:
        """See `Attack.most_queries`."""
        return self.max_queries or None

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        attack_each(search, self._attack, self.max_queries)

    def _attack(self, classifier: Any, sample: Samples, label: int) -> Samples | None:
        from art.attacks.evasion import HopSkipJump as ArtHopSkipJump

        start = random_start_of_another_class(classifier, sample, label, self.init_size)
        if start is None:
            return None
        attack = ArtHopSkipJump(
            classifier,
            targeted=False,
            norm=NORMS[self.norm],
            max_iter=self.max_iter,
            max_eval=self.max_eval,
            init_eval=self.init_eval,
            init_size=self.init_size,
            verbose=False,
        )
        found: Samples = attack.generate(sample, x_adv_init=start)
        return found
