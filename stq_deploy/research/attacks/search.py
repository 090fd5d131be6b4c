"""The search of every attack: only stored pictures count, and a sample leaves the search with its first success."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.oracle import Labels, Logits, Oracle
from stq_deploy.research.attacks.streams import Index, Streams

Listener = Callable[[Index, Samples, Logits], None]
"""Called with the samples' positions (M,), the stored candidates (M, *shape) and their logits (M, K)."""


@dataclass
class Search:
    """The search for adversarial versions of a batch.

    An attack proposes candidates. Each is rounded as a sample file stores it, within the budget, and the victim sees
    the rounded one. So the search holds exactly what a board receives.

    Attributes:
        victim: the model under attack.
        x: (N, *shape) the samples, in the victim's grid or not.
        y: (N,) their true classes.
        budget: how far they may move.
        streams: random numbers, sample by sample.
        smallest: keep a sample's nearest success instead of its first, and let it go on searching.
        listener: called with every query and its answer, in order.
        source: another model, of the same samples and classes, whose gradients a transfer attack takes.
        found: (N, *shape) each sample's success; before that, the candidate of the smallest margin so far.
        broken: (N,) which samples have a success.
        margins: (N,) true logit minus the largest other, of `found`.
        queries: (N,) how many answers each sample's search has had, the first for the clean sample.
    """

    victim: Oracle
    x: Samples
    y: Labels
    budget: Budget
    streams: Streams
    smallest: bool = False
    listener: Listener = lambda *_: None
    source: Oracle | None = None
    found: Samples = field(init=False)
    broken: npt.NDArray[np.bool_] = field(init=False)
    margins: npt.NDArray[np.float32] = field(init=False)
    queries: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.found = self.x.copy()
        self.queries = np.zeros(len(self.x), np.int64)
        logits = self._ask(np.arange(len(self.x)), self.x)
        self.margins, self.broken = margins_of(logits, self.y), is_wrong(logits, self.y)
        self._distance = np.where(self.broken, 0.0, np.inf)

    @property
    def open(self) -> Index:
        """Positions of the samples that are not broken yet."""
        return np.flatnonzero(~self.broken)

    def store(self, index: Index, moved: npt.NDArray[np.floating]) -> Samples:
        """Candidates (M, *shape) as they are stored: in range, and inside the budget.

        A search for the nearest success has candidates at any distance; `_record` leaves out those outside the budget.
        There, values that no step within the budget can change keep the sample's.
        """
        x, grid = self.x[index], self.victim.grid
        if self.smallest:
            return np.where(self.budget.movable(grid), grid.nearest(moved), x)
        return self.budget.store(self.budget.project(moved, x, grid), x, grid)

    def query(self, index: Index, moved: npt.NDArray[np.floating]) -> Logits:
        """Show candidates of these samples to the victim; returns its logits (M, K)."""
        stored = self.store(index, moved)
        logits = self._ask(index, stored)
        self._record(index, stored, logits)
        return logits

    def replace(self, index: Index, moved: npt.NDArray[np.floating]) -> None:
        """Keep these candidates instead of what was found. A sample is broken if its candidate's answer is wrong."""
        stored = self.store(index, moved)
        logits = self._ask(index, stored)
        self.found[index], self.margins[index] = stored, margins_of(logits, self.y[index])
        self.broken[index] = is_wrong(logits, self.y[index])

    def query_several(self, index: Index, moved: Sequence[npt.NDArray[np.floating]]) -> list[Logits]:
        """Show several candidates (M, *shape) of these samples at once; returns the logits (M, K) of each.

        Only a sample's first success is recorded, or its nearest one.
        """
        owners = np.repeat(index, [len(candidates) for candidates in moved])
        stored = self.store(owners, np.concatenate(moved))
        logits = self._ask(owners, stored)
        successes = is_wrong(logits, self.y[owners])
        if self.smallest:
            distance = self.budget.distance(stored, self.x[owners])
            successes &= distance <= self.budget.eps
        for i in np.unique(owners[successes]):
            own = np.flatnonzero(successes & (owners == i))
            best = own[np.argmin(distance[own])] if self.smallest else own[0]
            self._record(np.asarray([i]), stored[best : best + 1], logits[best : best + 1])
        return np.split(logits, np.cumsum([len(candidates) for candidates in moved])[:-1])

    def gradient(
        self, index: Index, moved: npt.NDArray[np.floating], loss: str, targets: Labels | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Show candidates to the victim; returns the loss (M,) and its gradient (M, *shape) at what is stored.

        Rounding passes the gradient straight through.
        """
        stored = self.store(index, moved)
        self.queries[index] += 1
        logits, losses, gradient = self.victim.of(index).gradient(stored, self.y[index], loss, targets)
        self._record(index, stored, logits)
        return losses, gradient

    def _ask(self, index: Index, stored: Samples) -> Logits:
        logits = self.victim.of(index).logits(stored)
        np.add.at(self.queries, index, 1)
        self.listener(index, stored, logits)
        return logits

    def _record(self, index: Index, stored: Samples, logits: Logits) -> None:
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


def margins_of(logits: Logits, y: Labels) -> npt.NDArray[np.float32]:
    """True logit minus the largest other one, (N,)."""
    rows = np.arange(len(y))
    others = logits.copy()
    others[rows, y] = -np.inf
    return np.asarray(logits[rows, y] - others.max(axis=1), np.float32)


def is_wrong(logits: Logits, y: Labels) -> npt.NDArray[np.bool_]:
    """Which samples (N,) are misclassified; of equal logits the lowest index is the class, as on the board."""
    return np.asarray(np.argmax(logits, axis=1) != y)
