"""Projected gradient descent: many small steps, each projected back into the budget (Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.attacks.base import GRADIENTS, Attack, Images


@dataclass(frozen=True)
class Pgd(Attack):
    """Iterated steps from a random start.

    Settings: eps and norm; eps_step (pixel units a step; by default eps / 4, so that any budget can be used
    up); max_iter steps; num_random_init restarts from random points of the budget's ball, keeping each
    sample's best (0: one run from the sample itself).
    """

    name: ClassVar[str] = "pgd"
    title: ClassVar[str] = "PGD"
    access: ClassVar[str] = GRADIENTS

    eps_step: float | None = None
    max_iter: int = 20
    num_random_init: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps_step is None:
            object.__setattr__(self, "eps_step", self.eps / 4)  # settled, so that it is recorded
        self.require(self.eps_step is not None and self.eps_step > 0, "eps_step", "a positive number")
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(0 <= self.num_random_init <= 1_000, "num_random_init", "0 to 1000")

    def perturb(self, classifier: Any, x: Images, y: npt.NDArray[np.int64]) -> Images:
        """See `Attack.perturb`."""
        from art.attacks.evasion import ProjectedGradientDescent

        attack = ProjectedGradientDescent(
            classifier,
            norm=self.art_norm,
            eps=self.eps,
            eps_step=self.eps_step,
            max_iter=self.max_iter,
            num_random_init=self.num_random_init,
            batch_size=len(x),
            verbose=False,
        )
        adversarial: Images = attack.generate(x, y)
        return adversarial
