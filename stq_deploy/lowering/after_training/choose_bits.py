"""Chooses each layer's bits for the least noise whose cost stays within a budget: a knapsack with several choices.

The search keeps, layer by layer, the partial choices that no other one beats in both cost and noise. That finds the
best choice. Where these become too many, some are dropped, evenly over the costs and never the cheapest. The choice
then keeps the budget, but may miss the best one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

NumberByBits = Mapping[int, Mapping[int, float]]
"""Layer -> bits -> a number."""

_MOST = 20_000
_Array = npt.NDArray[Any]


def choose_bits(noise: NumberByBits, cost: NumberByBits, budget: float) -> dict[int, int] | None:
    """Layer -> bits; None if even the cheapest choice costs more than `budget`.

    Args:
        noise, cost: for the same layers and bits; they add up over the layers. A cost may be negative.
    """
    totals, noises = np.zeros(1), np.zeros(1)
    steps: list[tuple[int, list[int], _Array, _Array]] = []  # layer, widths, choice and former state of each
    for layer in noise:
        widths = sorted(noise[layer], reverse=True)
        added = np.array([cost[layer][bits] for bits in widths])
        worse = np.array([noise[layer][bits] for bits in widths])
        kept = _unbeaten((totals[:, None] + added).ravel(), (noises[:, None] + worse).ravel())
        before, choice = np.divmod(kept, len(widths))
        totals, noises = totals[before] + added[choice], noises[before] + worse[choice]
        steps.append((layer, widths, choice, before))
    if totals[0] > budget:
        return None
    at = int(np.flatnonzero(totals <= budget)[-1])  # the dearest that fits has the least noise
    chosen: dict[int, int] = {}
    for layer, widths, choice, before in reversed(steps):
        chosen[layer] = widths[int(choice[at])]
        at = int(before[at])
    return {layer: chosen[layer] for layer in noise}


def least_cost(cost: NumberByBits) -> float:
    """The cost of the cheapest choice."""
    return sum(min(by_bits.values()) for by_bits in cost.values())


def _unbeaten(costs: _Array, noises: _Array) -> _Array:
    """Indices of the states that no other one beats in both, cheapest first; at most `_MOST`."""
    order = np.lexsort((noises, costs))
    least = np.minimum.accumulate(noises[order])
    first = np.concatenate([[True], least[1:] < least[:-1]])
    kept: _Array = order[first]
    if len(kept) > _MOST:
        kept = kept[np.linspace(0, len(kept) - 1, _MOST).astype(np.int64)]
    return kept
