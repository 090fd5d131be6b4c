"""Steps of gradient attacks by norm: the direction of largest gain, and random starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.research.attacks.budget import Budget
from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.streams import Index, Streams

PIXEL, SPREAD = "pixel", "spread"
"""Distribution of a step of length 1 in L1. `PIXEL` puts it on the value of the largest gradient (the steepest step;
ART since 1.18). `SPREAD` spreads it over all values in proportion to the gradient (ART before 1.18, and so the
paper).
"""

Real = npt.NDArray[np.float64]


def direction(gradient: Samples, budget: Budget, l1_step: str = PIXEL) -> Real:
    """Steps of length 1 in the budget's norm that increase the loss most: (N, *shape), in the samples' unit."""
    scaled = gradient.astype(np.float64) * budget.unit  # per unit of budget
    flat = scaled.reshape(len(scaled), -1)
    if budget.norm == "inf":
        step = np.sign(flat)
    elif budget.norm == "2":
        step = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)
    elif l1_step == SPREAD:
        step = flat / np.maximum(np.abs(flat).sum(axis=1, keepdims=True), 1e-30)
    else:
        largest = np.abs(flat).argmax(axis=1)[:, None]
        step = np.zeros_like(flat)
        np.put_along_axis(step, largest, np.sign(np.take_along_axis(flat, largest, axis=1)), axis=1)
    return np.asarray(step.reshape(scaled.shape) * budget.unit)


def random_start(x: Samples, budget: Budget, streams: Streams, index: Index) -> Real:
    """Points drawn evenly from the ball around each sample (M, *shape)."""
    shape = x.shape[1:]
    size = int(np.prod(shape))

    def one(generator: np.random.Generator) -> Any:
        if budget.norm == "inf":
            return generator.uniform(-budget.eps, budget.eps, shape)
        if budget.norm == "2":
            direction = generator.standard_normal(size)
            return (direction / np.linalg.norm(direction) * budget.eps * generator.random() ** (1 / size)).reshape(
                shape
            )
        # Exponential spacings are uniform on the simplex; one more gives the ball.
        spacings = generator.exponential(size=size + 1)
        signs = generator.choice([-1.0, 1.0], size)
        return (signs * spacings[:size] / spacings.sum() * budget.eps).reshape(shape)

    return np.asarray(x + streams.draw(index, one) * budget.unit, np.float64)
