"""Learning rate and temperature over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence


def cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine wave from `start` (progress 0) to `end` (progress 1): Loshchilov & Hutter 2017, one
    cycle.
    """
    progress = min(max(progress, 0.0), 1.0)
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * progress))


def geometric(start: float, end: float, progress: float) -> float:
    """From `start` to `end` by equal factors."""
    progress = min(max(progress, 0.0), 1.0)
    return float(start * (end / start) ** progress)


def warm_up(step: int, steps: int) -> float:
    """Factor of the learning rate at step `step` (from 0), rising linearly to 1 over the first `steps`."""
    return min((step + 1) / steps, 1.0) if steps > 0 else 1.0


def ramp(progress: float, share: float) -> float:
    """A factor rising linearly from 0 to 1 over the first `share` (0..1) of a run; `progress` (0..1) is done."""
    return min(progress / share, 1.0) if share > 0 else 1.0


def stage(values: Sequence[float], epoch: int, epochs: int) -> float:
    """The one of `values` for epoch `epoch` (from 0): equal stages, and the last value at the end."""
    return values[-1] if epoch >= epochs - 1 else values[epoch * len(values) // epochs]
