"""The bound on a layer's time, beside the instructions that two emulators have counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stq_deploy.program import plan_network
from stq_deploy.program.layer_time import cycles_bound, slowest_layer_cycles
from tests.helpers.covering_networks import LAYERS, SEEDS
from tests.helpers.networks import random_network

COUNTS = json.loads((Path(__file__).parents[2] / "docs" / "figures" / "emulator_counts.json").read_text())["networks"]
ROOM = 4
"""Cycles that an instruction may take: wait states of flash without caches, and bus conflicts."""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_kernel_takes_a_quarter_of_the_bound(seed: int) -> None:
    """`tools/compare_emulators` wrote the counts: these networks hold every kernel, requantization and type."""
    plan = plan_network(random_network(seed, LAYERS))
    rows = COUNTS[f"random network {seed}"]
    assert [row["kernel"] for row in rows] == [layer.kernel for layer in plan.layers]
    for row, layer in zip(rows, plan.layers, strict=True):
        counted = max(max(counts) for counts in row["instructions"].values())
        assert counted * ROOM <= cycles_bound(layer), row


def test_the_slowest_layer_decides() -> None:
    plan = plan_network(random_network(3))
    assert slowest_layer_cycles(plan) == max(cycles_bound(layer) for layer in plan.layers)
