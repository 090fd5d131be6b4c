"""Attacks that walk from a random sample of another class towards the sample, by decisions alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from stq_deploy.research.attacks._art import attack_each, random_start_of_another_class
from stq_deploy.research.attacks.abstract_attack import DECISIONS, Attack
from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.search import Search

MOST_TRIES = 10_000


class FromElsewhere(Attack):
    """What Boundary and HopSkipJump share: the start, the limit of queries, and ART.

    A subclass is a dataclass that has these settings:
        max_iter: steps or rounds.
        init_size: random samples to begin with.
        max_queries: most queries per sample; 0: no limit.
    """

    access: ClassVar[str] = DECISIONS
    smallest: ClassVar[bool] = True

    max_iter: int
    init_size: int
    max_queries: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(1 <= self.init_size <= MOST_TRIES, "init_size", f"1 to {MOST_TRIES}")
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

    @abstractmethod
    def art_attack(self, classifier: Any) -> Any:
        """ART's attack with these settings, on an ART classifier."""

    def _attack(self, classifier: Any, sample: Samples, label: int) -> Samples | None:
        start = random_start_of_another_class(classifier, sample, label, self.init_size)
        if start is None:
            return None
        found: Samples = self.art_attack(classifier).generate(sample, x_adv_init=start)
        return found
