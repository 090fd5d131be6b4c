"""The L2 attack of Carlini and Wagner (2017, arXiv:1608.04644): the nearest sample of another class, by gradients.

Adam minimizes |x' - x|^2 + c max(margin + confidence, 0) over w, with x' = (tanh(w) + 1) / 2 scaled to the samples'
range. A bisection finds c, sample by sample. The gradient of the margin takes one backward pass per step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.research.attacks.abstract_attack import GRADIENTS, L2_BUDGET, Attack
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.steps import Real

_EDGE = 1 - 1e-6
"""tanh reaches 1 only at infinity, so values at the range's ends are moved this close to them."""
_LARGEST_C = 1e10


@dataclass(frozen=True)
class CarliniWagner(Attack):
    """Nearest adversarial samples in L2; those farther away than eps do not count.

    Settings:
        eps: see `Attack`.
        max_iter: Adam steps for each c.
        binary_search_steps: steps of the bisection of c.
        initial_const: the first c.
        learning_rate: of Adam.
        confidence: the margin asked for.
    """

    name: ClassVar[str] = "cw"
    title: ClassVar[str] = "C&W-L2"
    access: ClassVar[str] = GRADIENTS
    norms: ClassVar[tuple[str, ...]] = ("2",)
    smallest: ClassVar[bool] = True

    eps: float = L2_BUDGET
    norm: str = "2"
    max_iter: int = 100
    binary_search_steps: int = 9
    initial_const: float = 0.01
    learning_rate: float = 0.01
    confidence: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(1 <= self.binary_search_steps <= 100, "binary_search_steps", "1 to 100")
        for setting in ("initial_const", "learning_rate"):
            self.require(getattr(self, setting) > 0, setting, "a positive number")
        self.require(self.confidence >= 0, "confidence", "0 or more")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        index = search.open
        if not len(index):
            return
        low, high = np.zeros(len(index)), np.full(len(index), _LARGEST_C)
        c = np.full(len(index), self.initial_const)
        for _ in range(self.binary_search_steps):
            reached = self._descend(search, index, c)
            high[reached], low[~reached] = np.minimum(high, c)[reached], np.maximum(low, c)[~reached]
            c = np.where(high < _LARGEST_C, (low + high) / 2, c * 10)

    def _descend(self, search: Search, index: npt.NDArray[np.intp], c: Real) -> npt.NDArray[np.bool_]:
        """Run Adam from the samples themselves; returns which of them (M,) were misclassified on the way, at any
        distance.
        """
        x, grid = search.x[index].astype(np.float64), search.victim.grid
        by_sample = (-1, *[1] * (x.ndim - 1))
        half = (grid.high - grid.low) / 2
        w = np.arctanh(np.clip((x - grid.low) / half - 1, -_EDGE, _EDGE))
        movable = search.budget.movable(grid)
        mean, square = np.zeros_like(w), np.zeros_like(w)
        reached = np.zeros(len(index), bool)
        for number in range(1, self.max_iter + 1):
            moved = np.where(movable, grid.low + half * (np.tanh(w) + 1), x)
            losses, gradient = search.gradient(index, moved, "margin")
            reached |= losses > 0
            active = (losses < self.confidence) | (losses <= 0)
            towards = np.where(active.reshape(by_sample), -c.reshape(by_sample) * gradient, 0)
            slope = (2 * (moved - x) / search.budget.unit**2 + towards) * half * (1 - np.tanh(w) ** 2) * movable
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope**2
            w -= self.learning_rate * (mean / (1 - 0.9**number)) / (np.sqrt(square / (1 - 0.999**number)) + 1e-8)
        return reached
