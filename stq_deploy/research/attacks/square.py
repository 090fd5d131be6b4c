"""Square attack: random search with square patches, from scores alone (Andriushchenko et al. 2020, arXiv:1912.00049).

One query per iteration. Every sample has its own windows, at any position of the picture. So the last rows and columns
are reached as often as the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.research.attacks.abstract_attack import SCORES, Attack
from stq_deploy.research.attacks.search import Search, is_wrong, margins_of
from stq_deploy.research.attacks.steps import Real

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Iterations, of 10,000, after which the share of pixels is half of what it was (the authors' schedule)."""
_SMALLEST_L2 = 3
"""Side of the smallest picture and window in L2: a bump has a centre and an edge."""


@dataclass(frozen=True)
class Square(Attack):
    """Random search.

    Settings:
        eps, norm: see `Attack`.
        max_iter: queries per run.
        p_init: share of pixels of the first patch. 0.8 suits robust networks; tests of random noise defenses take 0.05.
        nb_restarts: number of runs.
    """

    name: ClassVar[str] = "square"
    title: ClassVar[str] = "Square"
    access: ClassVar[str] = SCORES
    norms: ClassVar[tuple[str, ...]] = ("inf", "2")

    max_iter: int = 1000
    p_init: float = 0.8
    nb_restarts: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(1 <= self.max_iter <= 1_000_000, "max_iter", "1 or more")
        self.require(0 < self.p_init < 1, "p_init", "between 0 and 1")
        self.require(1 <= self.nb_restarts <= 1_000, "nb_restarts", "1 to 1000")

    def run(self, search: Search) -> None:
        """See `Attack.run`."""
        if search.x.ndim != 4:
            raise StqError(
                f"the samples have shape {search.x.shape[1:]}, and the attack moves squares of a picture",
                where=f"attack {self.name}",
                next="attack samples of shape (height, width, channels), or choose another attack",
            )
        height, width = search.x.shape[1:3]
        if self.norm == "2" and min(height, width) < _SMALLEST_L2:
            raise StqError(
                f"L2 needs pictures of at least {_SMALLEST_L2}x{_SMALLEST_L2}, these have {height}x{width}",
                where=f"attack {self.name}",
                next="use the Linf norm",
            )
        for _ in range(self.nb_restarts):
            if self.norm == "inf":
                _Linf(search, self).run()
            else:
                _L2(search, self).run()

    @property
    def most_queries(self) -> int:
        """See `Attack.most_queries`."""
        return self.max_iter * self.nb_restarts

    def share(self, number: int) -> float:
        """The share of pixels that a patch covers in iteration `number` (from 0)."""
        of_authors = number * 10_000 / self.max_iter
        return self.p_init * 0.5 ** sum(of_authors > halving for halving in _HALVINGS)


class _SquareRun:
    """One run. It holds the change of every open sample and its margin, and keeps a change that lowers the margin."""

    def __init__(self, search: Search, attack: Square) -> None:
        self.search, self.attack = search, attack
        self.index = search.open
        self.x = search.x[self.index]
        self.height, self.width, self.channels = search.x.shape[1:]
        self.eps = search.budget.eps
        self.unit = np.broadcast_to(search.budget.unit, search.x.shape[1:])

    def run(self) -> None:
        if not len(self.index):
            return
        change = self.begin()
        margins = self._query(change)
        change = self._drop_broken(change, margins)
        margins = self._margins
        for number in range(self.attack.max_iter - 1):
            if not len(self.index):
                return
            proposed = self.propose(change, self.attack.share(number))
            found = self._query(proposed)
            better = found < margins
            change[better], margins[better] = proposed[better], found[better]
            change = self._drop_broken(change, margins)
            margins = self._margins

    def begin(self) -> Real:
        """The first change (M, H, W, C), in units of budget."""
        raise AssertionError

    def propose(self, change: Real, share: float) -> Real:
        """Another one."""
        raise AssertionError

    def _query(self, change: Real) -> npt.NDArray[np.float32]:
        logits = self.search.query(self.index, self.x + change * self.unit)
        margins = margins_of(logits, self.search.y[self.index])
        margins[is_wrong(logits, self.search.y[self.index])] = -np.inf
        return margins

    def _drop_broken(self, change: Real, margins: npt.NDArray[np.float32]) -> Real:
        standing = ~self.search.broken[self.index]
        self.index, self.x, self._margins = self.index[standing], self.x[standing], margins[standing]
        return change[standing]

    def windows(self, side: int) -> npt.NDArray[np.int64]:
        """Upper left corners of a square of this side, for each sample: (M, 2)."""
        limits = (self.height - side + 1, self.width - side + 1)
        return self.search.streams.draw(self.index, lambda g: [g.integers(limits[0]), g.integers(limits[1])])

    def signs(self, *shape: int) -> npt.NDArray[np.int64]:
        """+1 or -1: (M, *shape)."""
        return self.search.streams.draw(self.index, lambda g: g.integers(0, 2, shape) * 2 - 1)


class _Linf(_SquareRun):
    def begin(self) -> Real:
        """Vertical stripes."""
        stripes = self.signs(1, self.width, self.channels)
        return np.broadcast_to(self.eps * stripes, self.x.shape).astype(np.float64)

    def propose(self, change: Real, share: float) -> Real:
        """A square of one colour at a random place."""
        side = round(math.sqrt(share * self.height * self.width))
        side = min(max(side, 1), self.height, self.width)
        proposed = change.copy()
        colours = self.eps * self.signs(1, 1, self.channels)
        for one, (row, column), colour in zip(proposed, self.windows(side), colours, strict=True):
            one[row : row + side, column : column + side] = colour
        return proposed


class _L2(_SquareRun):
    def begin(self) -> Real:
        """The whole picture tiled with bumps."""
        side = max(min(self.height, self.width) // 5, _SMALLEST_L2)
        change = np.zeros(self.x.shape)
        for row in range(0, self.height - side + 1, side):
            for column in range(0, self.width - side + 1, side):
                change[:, row : row + side, column : column + side] = self._bumps(side)
        return self._of_length(change, self.eps)

    def propose(self, change: Real, share: float) -> Real:
        """A bump at one window, with the length that another window and the budget's rest have."""
        side = max(round(math.sqrt(share * self.height * self.width)), _SMALLEST_L2)
        side = min(side + (side % 2 == 0), self.height - (self.height % 2 == 0), self.width - (self.width % 2 == 0))
        proposed = change.copy()
        bumps = self._bumps(side)
        for one, bump, (row, column), (row2, column2) in zip(
            proposed, bumps, self.windows(side), self.windows(side), strict=True
        ):
            here = (slice(row, row + side), slice(column, column + side))
            there = (slice(row2, row2 + side), slice(column2, column2 + side))
            old = one[here] / max(float(np.linalg.norm(one[here])), 1e-12)
            new = bump + old
            one[there] = 0
            one[here] = 0
            left = math.sqrt(max(self.eps**2 - float((one**2).sum()), 0))
            one[here] = new * left / max(float(np.linalg.norm(new)), 1e-12)
        return proposed

    def _bumps(self, side: int) -> Real:
        """(M, side, side, C) of length 1: an upward and a downward bump side by side, either way, of either sign."""
        pair = np.empty((side, side))
        half = side // 2
        pair[:half], pair[half:] = _bump(half, side), -_bump(side - half, side)
        pair /= np.linalg.norm(pair)
        turned = self.signs(1, 1, 1) > 0
        bumps = np.where(turned, pair[None, :, :, None], pair.T[None, :, :, None]) * self.signs(1, 1, self.channels)
        return np.asarray(bumps / math.sqrt(self.channels), np.float64)

    def _of_length(self, change: Real, length: float) -> Real:
        norms = np.linalg.norm(change.reshape(len(change), -1), axis=1)
        return np.asarray(change * (length / np.maximum(norms, 1e-12)).reshape(-1, 1, 1, 1))


def _bump(height: int, width: int) -> Any:
    """(height, width), largest in the middle: rectangle k, counted from the outside, adds 1 / (n + 1 - k)^2."""
    n = min((height + 1) // 2, (width + 1) // 2)
    bump = np.zeros((height, width))
    for k in range(n):
        bump[k : height - k, k : width - k] += 1 / (n - k) ** 2
    return bump
