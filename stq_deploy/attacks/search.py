"""What every attack shares: only stored pictures count, a sample's first success is kept, and the sample then rests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stq_deploy.attacks.budget import Budget
from stq_deploy.attacks.grid import Samples
from stq_deploy.attacks.streams import Index, Streams
from stq_deploy.attacks.victim import Labels, Victim


@dataclass
class Search:
    """The search for adversarial versions of a batch.

    An attack proposes candidates. Each is stored as a sample file would store it, within the budget, and the victim
    sees what is stored. So what the search holds is what a board is sent.

    Attributes:
        victim: the model under attack.
        x: (N, *shape) the samples, in the victim's grid or not.
        y: (N,) their true classes.
        budget: how far they may move.
        streams: random numbers, sample by sample.
        smallest: keep a sample's nearest success instead of its first, and let it go on searching.
        found: (N, *shape) each sample's success; before that, the candidate of the smallest margin so far.
        broken: (N,) which samples have a success.
        margins: (N,) true logit minus the largest other, of `found`.
    """

    victim: Victim
    x: Samples
    y: Labels
    budget: Budget
    streams: Streams
    smallest: bool = False
    found: Samples = field(init=False)
    broken: npt.NDArray[np.bool_] = field(init=False)
    margins: npt.NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        self.found = self.x.copy()
        logits = self.victim.logits(self.x)
        self.margins, self.broken = margins_of(logits, self.y), is_wrong(logits, self.y)
        self._distance = np.where(self.broken, 0.0, np.inf)

    @property
    def open(self) -> Index:
        """Positions of the samples that still stand."""
        return np.flatnonzero(~self.broken)

    def store(self, index: Index, moved: npt.NDArray[np.floating]) -> Samples:
        """Candidates (M, *shape) as they are stored: in range, and inside the budget.

        A search for the nearest success has candidates at any distance; `_record` leaves out what is too far.
        """
        x, grid = self.x[index], self.victim.grid
        if self.smallest:
            return grid.nearest(moved)
        return self.budget.store(self.budget.project(moved, x, grid), x, grid)

    def query(self, index: Index, moved: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Show candidates of these samples to the victim; returns its logits (M, K)."""
        stored = self.store(index, moved)
        logits = self.victim.logits(stored)
        self._record(index, stored, logits)
        return logits

    def gradient(
        self, index: Index, moved: npt.NDArray[np.floating], loss: str, targets: Labels | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Show candidates to the victim; returns the loss (M,) and its gradient (M, *shape) at what is stored.

        Rounding passes the gradient straight through.
        """
        stored = self.store(index, moved)
        logits, losses, gradient = self.victim.gradient(stored, self.y[index], loss, targets)
        self._record(index, stored, logits)
        return losses, gradient

    def _record(self, index: Index, stored: Samples, logits: npt.NDArray[np.float32]) -> None:
        margins, wrong = margins_of(logits, self.y[index]), is_wrong(logits, self.y[index])
        better = ~self.broken[index] & (wrong | (margins < self.margins[index]))
        if self.smallest:
            distance = self.budget.distance(stored, self.x[index])
            near = distance <= self.budget.eps
            wrong &= near
            better = (better & near) | (wrong & (distance < self._distance[index]))
            self._distance[index[wrong & better]] = distance[wrong & better]
        chosen = index[better]
        self.found[chosen], self.margins[chosen] = stored[better], margins[better]
        self.broken[index] |= wrong


def margins_of(logits: npt.NDArray[np.float32], y: Labels) -> npt.NDArray[np.float32]:
    """True logit minus the largest other one, (N,)."""
    rows = np.arange(len(y))
    others = logits.copy()
    others[rows, y] = -np.inf
    return np.asarray(logits[rows, y] - others.max(axis=1), np.float32)


def is_wrong(logits: npt.NDArray[np.float32], y: Labels) -> npt.NDArray[np.bool_]:
    """Which samples (N,) are misclassified; of equal logits the lowest index is the class, as on the board."""
    return np.asarray(np.argmax(logits, axis=1) != y)
