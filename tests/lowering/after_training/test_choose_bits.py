"""The choice of bits within a budget, against all choices."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from stq_deploy.lowering.after_training import choose_bits as module
from stq_deploy.lowering.after_training.choose_bits import choose_bits, least_cost

WIDTHS = (2, 4, 8)


def drawn(seed: int, layers: int = 6) -> tuple[dict[int, dict[int, float]], dict[int, dict[int, float]]]:
    rng = np.random.default_rng(seed)
    noise = {n: dict(zip(WIDTHS, sorted(rng.random(3), reverse=True), strict=True)) for n in range(layers)}
    cost = {n: {bits: float(rng.integers(1, 50)) * bits for bits in WIDTHS} for n in range(layers)}
    return noise, cost


@pytest.mark.parametrize("seed", range(8))
def test_it_finds_the_least_noise_within_the_budget(seed: int) -> None:
    noise, cost = drawn(seed)
    every = []
    for widths in product(WIDTHS, repeat=len(noise)):
        chosen = dict(zip(noise, widths, strict=True))
        every.append((sum(cost[n][b] for n, b in chosen.items()), sum(noise[n][b] for n, b in chosen.items())))
    least = min(total for total, _ in every)
    assert least_cost(cost) == least
    for budget in (least, least * 1.3, least * 2, 1e9):
        found = choose_bits(noise, cost, budget)
        assert found is not None
        assert sum(cost[n][b] for n, b in found.items()) <= budget
        best = min(lost for total, lost in every if total <= budget)
        assert sum(noise[n][b] for n, b in found.items()) == pytest.approx(best, rel=1e-12)
    assert choose_bits(noise, cost, least - 1) is None


def test_many_states_are_thinned_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    noise, cost = drawn(0, layers=30)
    for budget in (least_cost(cost), 1.5 * least_cost(cost), 2 * least_cost(cost)):
        found = choose_bits(noise, cost, budget)
        assert found is not None
        assert sum(cost[n][b] for n, b in found.items()) <= budget


def test_no_layers_cost_nothing() -> None:
    assert choose_bits({}, {}, 0) == {}
    assert choose_bits({}, {}, -1) is None
