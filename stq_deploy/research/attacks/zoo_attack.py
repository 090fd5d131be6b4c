"""ZOO: Carlini and Wagner's attack with gradients estimated from scores (Chen et al. 2017, arXiv:1708.03999)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stq_deploy.research.attacks._art import attack_each
from stq_deploy.research.attacks.abstract_attack import L2_BUDGET, SCORES, Attack
from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.search import Search

ART_STEP = 1e-4
"""ART's default `variable_h`: a fortieth of a gray level. On samples of 8 bits every difference is then 0."""


@dataclass(frozen=True)
class Zoo(Attack):
    """Coordinate descent by finite differences.

    Samples of 8 bits do not change within half a level. So variable_h is one gray level here. With ART's own 1e-4 all
    differences are 0, and the attack moves nothing.

    Settings:
        eps: largest distance, in L2.
        max_iter: steps for each constant.
        binary_search_steps: steps of the bisection of the constant.
        nb_parallel: coordinates per step.
        learning_rate: of Adam.
        initial_const: the first constant.
        variable_h: step of the differences.
    """

    name: ClassVar[str] = "zoo"
    title: ClassVar[str] = "ZOO"
    access: ClassVar[str] = SCORES
    norms: ClassVar[tuple[str, ...]] = ("2",)
    smallest: ClassVar[bool] = True

    eps: float = L2_BUDGET
    norm: str = "2"
    max_iter: int = 10
    binary_search_steps: int = 10
    nb_parallel: int = 128
    learning_rate: float = 0.01
    initial_const: float = 0.001
    variable_h: float = 1 / 255

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(1 <= self.binary_search_steps <= 100, "binary_search_steps", "1 to 100")
        self.require(1 <= self.nb_parallel <= 100_000, "nb_parallel", "1 or more")
        for setting in ("learning_rate", "initial_const", "variable_h"):
            self.require(getattr(self, setting) > 0, setting, "a positive number")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        attack_each(search, self._attack)

    def _attack(self, classifier: Any, sample: Samples, label: int) -> Samples | None:
        import numpy as np
        from art.attacks.evasion import ZooAttack

        attack = ZooAttack(
            classifier,
            targeted=False,
            max_iter=self.max_iter,
            binary_search_steps=self.binary_search_steps,
            nb_parallel=min(self.nb_parallel, sample.size),
            learning_rate=self.learning_rate,
            initial_const=self.initial_const,
            variable_h=self.variable_h,
            use_resize=False,
            use_importance=False,
            batch_size=1,
            verbose=False,
        )
        found: Samples = attack.generate(sample, np.asarray([label]))
        return found
