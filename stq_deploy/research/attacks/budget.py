"""The distance that an attack may move a sample, and storage of moved samples within that budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.research.attacks.grid import Grid, Samples

NORMS: dict[str, float] = {"inf": math.inf, "1": 1, "2": 2}
"""Norm as written by the user -> its order."""

Unit = npt.NDArray[np.float64]
"""The size of one unit of budget, broadcast over a sample: 1 for pixels, a standard deviation for a feature."""

_SLACK = 1e-9
"""Relative tolerance; float64 sums over a sample err by less."""


@dataclass(frozen=True)
class Budget:
    """A ball of radius `eps` in the norm `norm` around each sample, in units of `unit`.

    Attributes:
        norm: key of `NORMS`.
        eps: radius.
        unit: see `Unit`.
    """

    norm: str
    eps: float
    unit: Unit

    @classmethod
    def of_pixels(cls, norm: str, eps: float) -> Budget:
        """A budget in the samples' own unit."""
        return cls(norm, eps, np.ones((), np.float64))

    def distance(self, moved: npt.NDArray[Any], x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Distance of each sample (N, ...) from its origin, in units of budget: (N,) float64."""
        change = ((moved.astype(np.float64) - x) / self.unit).reshape(len(x), -1)
        return np.asarray(np.linalg.norm(change, NORMS[self.norm], axis=1), np.float64)

    def distance_stored(self, moved: Samples, x: Samples, grid: Grid) -> npt.NDArray[np.float64]:
        """The same of stored samples, in whole steps of the grid: float32 holds no multiple of 1/255 exactly."""
        if grid.is_continuous:
            return self.distance(moved, x)
        return self.distance(grid.to_steps(moved) * grid.step, grid.to_steps(x) * grid.step)

    def check_stored(self, moved: Samples, x: Samples, grid: Grid, attack: str) -> None:
        """Measure what is claimed of stored samples on the samples themselves.

        Args:
            attack: its name, for the error.

        Raises:
            StqError: a sample lies outside its ball.
        """
        largest = float(self.distance_stored(moved, x, grid).max(initial=0.0))
        if largest > self.eps * (1 + 2 * _SLACK):
            raise StqError(
                f"a sample moved by {largest:.9g}, more than the budget {self.eps:.9g}",
                where=f"attack {attack}",
                cause="this is a fault of the attack",
                next="report it with the model and the settings",
            )

    def movable(self, grid: Grid) -> npt.NDArray[np.bool_]:
        """Which values of a sample can be stored changed within the budget; it broadcasts over a sample.

        A feature that is the same in all samples has no deviation, so that any change of it costs more than eps.
        """
        least = grid.step * (1 - 1e-6) if not grid.is_continuous else float(np.finfo(np.float32).tiny)
        return np.asarray(self.eps * self.unit >= least)

    def project(self, moved: npt.NDArray[Any], x: Samples, grid: Grid) -> npt.NDArray[np.float64]:
        """The nearest points (N, ...) of each sample's ball, in L2, clipped to the grid's range."""
        change = (moved.astype(np.float64) - x) / self.unit
        if self.norm == "inf":
            change = np.clip(change, -self.eps, self.eps)
        elif self.norm == "2":
            length = self.distance(moved, x).reshape(-1, *[1] * (x.ndim - 1))
            change *= np.minimum(1, self.eps / np.maximum(length, 1e-300))
        else:
            change = _project_l1(change, self.eps)
        return np.asarray(grid.clip(x + change * self.unit), np.float64)

    def store(self, moved: npt.NDArray[Any], x: Samples, grid: Grid) -> Samples:
        """Points of the ball -> their stored values, on the grid and still inside the ball.

        A value is rounded to the nearest grid point. In Linf it is then moved back into the box. In L1 and L2, values
        that rounding moved away from the sample are rounded towards it until the distance fits. Those that gain least
        come first.

        Args:
            moved: (N, ...) inside the ball and the grid's range.
            x: (N, ...) the samples.
        """
        if grid.is_continuous:
            return self._stored_floats(moved, x, grid)
        # The change is exact in float64; only the sample has a rounding to float32.
        origin = grid.to_steps(x)
        steps = origin + (moved.astype(np.float64) - x) / grid.step
        radius = self.eps * self.unit / grid.step
        if self.norm == "inf":
            slack = _SLACK * np.maximum(1, radius)
            low, high = np.ceil(origin - radius - slack), np.floor(origin + radius + slack)
            return grid.from_steps(np.clip(np.rint(steps), low, high))
        rounded = np.rint(steps)
        inward = np.where(steps >= origin, np.floor(steps + _SLACK), np.ceil(steps - _SLACK))
        whole = self._undo(rounded, inward, origin, grid)
        return grid.from_steps(whole)

    def _stored_floats(self, moved: npt.NDArray[Any], x: Samples, grid: Grid) -> Samples:
        """Rounding to float32 can leave the ball: there, each value is the float32 next to it towards the sample."""
        wanted = grid.clip(moved)
        stored = np.asarray(wanted, np.float32)
        outside = self.distance(stored, x) > self.eps
        if outside.any():
            here, origin = stored[outside], x[outside]
            beyond = np.abs(here.astype(np.float64) - origin) > np.abs(wanted[outside].astype(np.float64) - origin)
            stored[outside] = np.where(beyond, np.nextafter(here, origin), here)
        return stored

    def _undo(
        self,
        rounded: npt.NDArray[np.float64],
        inward: npt.NDArray[np.float64],
        origin: npt.NDArray[np.float64],
        grid: Grid,
    ) -> npt.NDArray[np.float64]:
        """`rounded`, with as few values as needed replaced by `inward`."""
        power = NORMS[self.norm]
        count = len(rounded)
        scale = np.broadcast_to(grid.step / self.unit, rounded.shape[1:]).reshape(1, -1)
        flat, inner, start = (a.reshape(count, -1) for a in (rounded, inward, origin))
        cost = (np.abs(flat - start) * scale) ** power
        saved = cost - (np.abs(inner - start) * scale) ** power
        order = np.argsort(np.where(saved > 0, saved, np.inf), axis=1, kind="stable")
        gains = np.take_along_axis(np.maximum(saved, 0), order, axis=1)
        excess = cost.sum(axis=1, keepdims=True) - (self.eps * (1 + _SLACK)) ** power
        before = np.cumsum(gains, axis=1) - gains  # savings of the earlier ones
        undone = np.zeros_like(flat, bool)
        np.put_along_axis(undone, order, before < excess, axis=1)
        return np.where(undone, inner, flat).reshape(rounded.shape)


def _project_l1(change: npt.NDArray[np.float64], radius: float) -> npt.NDArray[np.float64]:
    """Euclidean projection onto the L1 ball: soft thresholding (Duchi et al. 2008, "Efficient projections")."""
    flat = change.reshape(len(change), -1)
    size = np.sort(np.abs(flat), axis=1)[:, ::-1]
    excess = (np.cumsum(size, axis=1) - radius) / np.arange(1, flat.shape[1] + 1)
    last = np.maximum((size > excess).sum(axis=1) - 1, 0)
    threshold = np.maximum(excess[np.arange(len(flat)), last], 0)[:, None]
    inside = np.abs(flat).sum(axis=1, keepdims=True) <= radius
    shrunk = np.sign(flat) * np.maximum(np.abs(flat) - threshold, 0)
    return np.where(inside, flat, shrunk).reshape(change.shape)
