"""Auto-PGD: gradient steps whose length adapts to their success (Croce & Hein 2020, arXiv:2003.01690).

The iterates are real numbers; the loss and its gradient are taken at what is stored of them. So with 8-bit pixels,
steps far below a level add up to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.research.attacks.abstract_attack import GRADIENTS, Attack
from stq_deploy.research.attacks.oracle import Labels
from stq_deploy.research.attacks.pgd import UNTARGETED
from stq_deploy.research.attacks.search import Search
from stq_deploy.research.attacks.steps import Real, direction, random_start

_MOMENTUM = 0.75
_SUCCESSES = 0.75
"""Share of the steps since the last checkpoint that must have raised the loss; otherwise the step is halved."""


@dataclass(frozen=True)
class Apgd(Attack):
    """Auto-PGD on one loss.

    Settings:
        eps, norm: see `Attack`.
        max_iter: steps.
        restarts: runs from random points.
        loss: ce, margin or dlr.
    """

    name: ClassVar[str] = "apgd"
    title: ClassVar[str] = "APGD-CE"
    access: ClassVar[str] = GRADIENTS
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")

    max_iter: int = 100
    restarts: int = 1
    loss: str = "ce"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(1 <= self.restarts <= 1_000, "restarts", "1 to 1000")
        self.require(self.loss in UNTARGETED, "loss", f"one of {', '.join(UNTARGETED)}")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        for _ in range(self.restarts):
            _ascend(search, self.loss, None, self.max_iter)


@dataclass(frozen=True)
class ApgdTargeted(Attack):
    """Auto-PGD towards each of the classes whose logits are next to the true one, on the targeted DLR loss.

    Settings:
        eps, norm: see `Attack`.
        max_iter: steps per target.
        targets: number of classes.
    """

    name: ClassVar[str] = "apgd-t"
    title: ClassVar[str] = "APGD-T"
    access: ClassVar[str] = GRADIENTS
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")

    max_iter: int = 100
    targets: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(1 <= self.targets <= 10_000, "targets", "1 or more")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        logits = search.victim.logits(search.x)
        logits[np.arange(len(logits)), search.y] = np.inf
        order = np.argsort(-logits, axis=1, kind="stable")  # the true class first
        for rank in range(1, min(self.targets, search.victim.classes - 1) + 1):
            _ascend(search, "targeted-dlr", order[:, rank].astype(np.int64), self.max_iter)


def _ascend(search: Search, loss: str, targets: Labels | None, steps: int) -> None:
    """One run from a random start over all open samples; `targets` (N,) is of the whole batch."""
    index = search.open
    if not len(index):
        return
    state = _Ascent.start(search, index, loss, targets)
    checkpoints = _checkpoints(steps)
    for number in range(1, steps + 1):
        state.step(search, loss, targets, number)
        if not len(state.index):
            return
        if number in checkpoints:
            state.adapt(checkpoints[number])


def _checkpoints(steps: int) -> dict[int, int]:
    """Steps at which lengths are checked -> steps since the last check: at 22 % of all, then ever closer."""
    found, previous, share = {}, 0.0, 0.22
    last = 0
    while share <= 1:
        number = math.ceil(share * steps)
        if number > last:
            found[number] = number - last
            last = number
        previous, share = share, share + max(share - previous - 0.03, 0.06)
    return found


@dataclass
class _Ascent:
    """State of a run, for the samples still open.

    Attributes:
        index: their positions in the batch.
        now, before: the last two iterates.
        loss, gradient: at `now`.
        best, best_loss, best_gradient: of all iterates.
        length: of a step, in units of budget.
        rises: how often the loss rose since the last checkpoint.
        halved: whether the length was halved there.
        checked_loss: `best_loss` there.
    """

    index: npt.NDArray[np.intp]
    now: Real
    before: Real
    loss: npt.NDArray[np.float32]
    gradient: npt.NDArray[np.float32]
    best: Real
    best_loss: npt.NDArray[np.float32]
    best_gradient: npt.NDArray[np.float32]
    length: Real
    rises: npt.NDArray[np.int64]
    halved: npt.NDArray[np.bool_]
    checked_loss: npt.NDArray[np.float32]

    @classmethod
    def start(cls, search: Search, index: npt.NDArray[np.intp], loss: str, targets: Labels | None) -> _Ascent:
        x = random_start(search.x[index], search.budget, search.streams, index)
        x = search.budget.project(x, search.x[index], search.victim.grid)
        losses, gradient = search.gradient(index, x, loss, None if targets is None else targets[index])
        count = len(index)
        length = np.full(count, 2 * search.budget.eps)
        begun = cls(
            index, x, x.copy(), losses, gradient, x.copy(), losses.copy(), gradient.copy(), length,
            np.zeros(count, np.int64), np.ones(count, bool), losses.copy(),
        )  # fmt: skip
        begun._keep(~search.broken[index])
        return begun

    def step(self, search: Search, loss: str, targets: Labels | None, number: int) -> None:
        """One step with momentum; samples that are broken by it leave."""
        if not len(self.index):
            return
        x, grid, budget = search.x[self.index], search.victim.grid, search.budget
        by_sample = (-1, *[1] * (x.ndim - 1))
        straight = budget.project(self.now + self.length.reshape(by_sample) * direction(self.gradient, budget), x, grid)
        momentum = _MOMENTUM if number > 1 else 1.0
        moved = self.now + momentum * (straight - self.now) + (1 - momentum) * (self.now - self.before)
        self.before, self.now = self.now, budget.project(moved, x, grid)
        aims = None if targets is None else targets[self.index]
        losses, self.gradient = search.gradient(self.index, self.now, loss, aims)
        self.rises += losses > self.loss
        self.loss = losses
        better = losses > self.best_loss
        self.best[better], self.best_loss[better] = self.now[better], losses[better]
        self.best_gradient[better] = self.gradient[better]
        self._keep(~search.broken[self.index])

    def adapt(self, steps: int) -> None:
        """At a checkpoint, halve the steps that raise the loss too rarely, and continue from the best point."""
        stuck = self.rises < _SUCCESSES * steps
        stalled = ~self.halved & (self.best_loss <= self.checked_loss)
        self.halved = stuck | stalled
        self.length[self.halved] /= 2
        self.now[self.halved] = self.best[self.halved]
        self.before[self.halved] = self.best[self.halved]
        self.gradient[self.halved] = self.best_gradient[self.halved]
        self.loss[self.halved] = self.best_loss[self.halved]
        self.rises[:] = 0
        self.checked_loss = self.best_loss.copy()

    def _keep(self, kept: npt.NDArray[np.bool_]) -> None:
        for name, value in vars(self).items():
            setattr(self, name, value[kept])
