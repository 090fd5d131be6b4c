"""Boundary attack: a random walk along the decision boundary, from decisions alone (Brendel et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.attacks.base import DECISIONS, Attack, Images
from stq_deploy.attacks.classifier import predict_classes


@dataclass(frozen=True)
class Boundary(Attack):
    """From a random picture of another class, ever closer to the sample.

    The walk itself knows no budget: it makes the distance in L2 small. A sample it does not bring within eps stays as
    it is; with eps = 1 in Linf, which is no limit to pixels, all count, as in the paper.

    Settings: eps and norm; max_iter steps; delta, the first step along the boundary, as a part of the distance; step,
    the first one towards the sample (ART's epsilon); num_trial, how often either is tried again, made smaller, before
    the walk ends; sample_size, random directions a trial; init_size, random pictures to begin with.
    """

    name: ClassVar[str] = "boundary"
    title: ClassVar[str] = "Boundary"
    access: ClassVar[str] = DECISIONS

    max_iter: int = 1000
    delta: float = 0.01
    step: float = 0.01
    num_trial: int = 25
    sample_size: int = 20
    init_size: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(0 < self.delta <= 1, "delta", "above 0, at most 1")
        self.require(0 < self.step <= 1, "step", "above 0, at most 1")
        for setting in ("num_trial", "sample_size", "init_size"):
            self.require(1 <= getattr(self, setting) <= 10_000, setting, "1 to 10000")

    def perturb(self, classifier: Any, x: Images, y: npt.NDArray[np.int64]) -> Images:
        """See `Attack.perturb`."""
        from art.attacks.evasion import BoundaryAttack

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
        adversarial = x.copy()
        for number in np.flatnonzero(predict_classes(classifier, x) == y):
            # ART would draw the start from a generator of its own, which nobody seeds.
            start = self._start(classifier, x[number], y[number])
            if start is not None:
                found = attack.generate(x[number : number + 1], x_adv_init=start[None])[0]
                if self._distance(found, x[number]) <= self.eps:
                    adversarial[number] = found
        return adversarial

    def _start(self, classifier: Any, sample: Images, label: int) -> Images | None:
        """A random picture, of the shape of `sample`, that is not taken for `label`; None if none was drawn."""
        drawn = np.random.uniform(0, 1, (self.init_size, *sample.shape)).astype(np.float32)
        others = np.flatnonzero(predict_classes(classifier, drawn) != label)
        return drawn[others[0]] if len(others) else None

    def _distance(self, found: Images, sample: Images) -> float:
        return float(np.linalg.norm((found.astype(np.float64) - sample).ravel(), self.art_norm))
