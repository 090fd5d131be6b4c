"""Boundary attack: a random walk along the decision boundary, from decisions alone (Brendel et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stq_deploy.research.attacks._art import attack_each, random_start_of_another_class
from stq_deploy.research.attacks.base import DECISIONS, Attack
from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.search import Search


@dataclass(frozen=True)
class Boundary(Attack):
    """Starts from a random picture of another class, and comes ever closer to the sample.

    The walk ignores the budget and makes the distance in L2 small. A sample that it does not bring within eps stays
    unchanged. With eps = 1 in Linf, which does not limit pixels, all count, as in the paper.

    Settings:
        eps, norm: see `Attack`.
        max_iter: steps.
        delta: first step along the boundary, as a part of the distance.
        step: first step towards the sample, as a part of the distance (ART's epsilon).
        num_trial: how often a step is tried again, made smaller, before the walk ends.
        sample_size: random directions per trial.
        init_size: random pictures to begin with.
        max_queries: most queries per sample; 0: no limit.
    """

    name: ClassVar[str] = "boundary"
    title: ClassVar[str] = "Boundary"
    access: ClassVar[str] = DECISIONS
    smallest: ClassVar[bool] = True

    max_iter: int = 1000
    delta: float = 0.01
    step: float = 0.01
    num_trial: int = 25
    sample_size: int = 20
    init_size: int = 100
    max_queries: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(0 < self.delta <= 1, "delta", "above 0, at most 1")
        self.require(0 < self.step <= 1, "step", "above 0, at most 1")
        for setting in ("num_trial", "sample_size", "init_size"):
            self.require(1 <= getattr(self, setting) <= 10_000, setting, "1 to 10000")
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
        from art.attacks.evasion import BoundaryAttack

        start = random_start_of_another_class(classifier, sample, label, self.init_size)
        if start is None:
            return None
        attack = BoundaryAttack(
            classifier,
            targeted=False,
            delta=self.delta,
            epsilon=self.step,
            max_iter=self.max_iter,
            num_trial=self.num_trial,
            sample_size=self.sample_size,
            init_size=self.init_size,
            verbose=False,
        )
        found: Samples = attack.generate(sample, x_adv_init=start)
        return found
