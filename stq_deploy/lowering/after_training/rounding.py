"""Rounds each weight up or down so that the layer's sums, not its weights, come near those wanted.

Nearest rounding is the best choice for a single weight, and seldom for a sum of many. Errors of weights whose inputs
rise and fall together add up. The squared error of the sums on the calibration samples is a quadratic form of the
weights' errors (`moments`). Coordinate descent goes over the weights, and moves each one to the other neighbour where
that makes the error smaller, until none moves. It starts from the nearest integers, so the result is never worse.

The choice between the two neighbours for the least error of a layer's output is that of Nagel et al., "Up or down?
Adaptive rounding for post-training quantization" (2020, arXiv:2004.10568), equation 20. They relax it and use gradient
descent; here the integers themselves are searched.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.after_training.moments import Moments

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST_WORK = 4_000_000_000
"""Multiplications of one round over a layer's weights; a layer that takes more keeps the nearest integers."""
_ROUNDS = 20
_DAMPING = 0.01
"""Part of the inputs' mean square that is added to the quadratic form: weights that no sample tells apart stay near.

Nearest rounding has the smallest such addition, so the error on the samples itself is never worse than its error.
"""


def rounding_work(weights: Reals) -> int:
    """Multiplications of a round over weights (G, M, K)."""
    return int(weights.size * weights.shape[2])


def round_adaptively(
    weights: Reals, scale: Reals, nearest: Integers, bounds: tuple[int, int], moments: Moments
) -> Integers:
    """Integers (G, M, K) for weights of the same shape.

    Args:
        scale: real value of one step, (G, M).
        nearest: the nearest integers within `bounds`.
        bounds: the smallest and the largest integer.
        moments: of the layer's inputs, and of the sums wanted.
    """
    products = moments.inputs.copy()
    diagonal = np.einsum("gkk->gk", products)  # a view
    diagonal += _DAMPING * diagonal.mean(axis=1, keepdims=True) + np.finfo(np.float64).tiny
    integers = nearest.copy()
    below = np.clip(np.floor(weights / scale[..., None]), *bounds).astype(np.int64)
    above = np.clip(np.ceil(weights / scale[..., None]), *bounds).astype(np.int64)
    slope = np.matmul(integers * scale[..., None] - weights, products) - moments.wanted
    for _ in range(_ROUNDS):
        moved = 0
        for k in range(weights.shape[2]):
            other = np.where(integers[..., k] == below[..., k], above[..., k], below[..., k])
            step = (other - integers[..., k]) * scale
            gain = step * (2 * slope[..., k] + step * diagonal[:, None, k])
            better = gain < -1e-12 * np.abs(step * slope[..., k])
            if not better.any():
                continue
            step = np.where(better, step, 0.0)
            integers[..., k] = np.where(better, other, integers[..., k])
            slope += step[..., None] * products[:, k][:, None, :]
            moved += int(better.sum())
        if not moved:
            break
    return integers


def squared_error(weights: Reals, scale: Reals, integers: Integers, moments: Moments) -> Reals:
    """The part of the sums' mean squared error that depends on the integers, (G, M)."""
    error = integers * scale[..., None] - weights
    return np.asarray(((np.matmul(error, moments.inputs) - 2 * moments.wanted) * error).sum(axis=-1))
