"""Boundary attack: a random walk along the decision boundary, from decisions alone (Brendel et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stq_deploy.research.attacks.from_elsewhere import MOST_TRIES, FromElsewhere


@dataclass(frozen=True)
class Boundary(FromElsewhere):
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

    max_iter: int = 1000
    delta: float = 0.01
    step: float = 0.01
    num_trial: int = 25
    sample_size: int = 20
    init_size: int = 100
    max_queries: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 < self.delta <= 1, "delta", "above 0, at most 1")
        self.require(0 < self.step <= 1, "step", "above 0, at most 1")
        for setting in ("num_trial", "sample_size"):
            self.require(1 <= getattr(self, setting) <= MOST_TRIES, setting, f"1 to {MOST_TRIES}")

    def art_attack(self, classifier: Any) -> Any:
        from art.attacks.evasion import BoundaryAttack

        return BoundaryAttack(
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
