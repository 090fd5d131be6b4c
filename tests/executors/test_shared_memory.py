"""Tensors that share memory, and layers in another order than the file's: every layer is still equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.network import Network
from stq_deploy.program import Program, plan_network
from stq_deploy.targets.boards import board_names, load_board
from stq_deploy.targets.emulator.backends import backend_of
from stq_deploy.toolchain.compilers import candidates, probe
from stq_deploy.toolchain.host_library import KERNELS
from tests.helpers.branched_networks import branched_network
from tests.helpers.networks import random_levels

SAMPLES = 4
EMULATED = (2, 7)
"""Indices of `NETWORKS` that also run on emulated boards."""
NETWORKS = [branched_network(seed, ops=14, unit=(1, 3, 8)[seed % 3], copies=False) for seed in range(8)]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("network", NETWORKS, ids=range(len(NETWORKS)))
def test_host_equals_numpy(network: Network, kernels: str, host_cache: Path) -> None:
    levels = random_levels(network, SAMPLES)
    reference = NumpyExecutor(plan_network(network))
    with HostExecutor(plan_network(network), kernels=kernels, workers=1, cache_dir=host_cache) as host:
        np.testing.assert_array_equal(host.layer_crcs(levels), reference.layer_crcs(levels))
        np.testing.assert_array_equal(host.run(levels)[0], reference.run(levels)[0])


@pytest.mark.parametrize("network", NETWORKS[:3], ids=range(3))
def test_sanitized_host_equals_numpy(network: Network, host_cache: Path) -> None:
    levels = random_levels(network, SAMPLES)
    with SanitizedExecutor(plan_network(network), kernels="cortex_m7", cache_dir=host_cache) as host:
        np.testing.assert_array_equal(host.layer_crcs(levels), NumpyExecutor(plan_network(network)).layer_crcs(levels))


@pytest.mark.parametrize("seed", EMULATED)
@pytest.mark.parametrize("name", board_names())
def test_emulated_boards_equal_numpy(name: str, seed: int, tmp_path: Path) -> None:
    network, board = NETWORKS[seed], load_board(name)
    try:
        backend_of(board)
    except StqError as error:
        pytest.skip(error.what)
    if not any(map(probe, candidates())):
        pytest.skip("no compiler for the board is installed")
    levels = random_levels(network, SAMPLES)
    reference = NumpyExecutor(plan_network(network))
    with open_emulated(board, build_afresh(plan_network(network), board, tmp_path)) as (emulated,):
        np.testing.assert_array_equal(emulated.layer_crcs(levels), reference.layer_crcs(levels))
        np.testing.assert_array_equal(emulated.run(levels)[0], reference.run(levels)[0])


def replacing(plans: list[Program]) -> set[str]:
    """Kinds of the layers that write over an input."""
    return {layer.op.kind for plan in plans for layer in plan.layers if plan.replaces(layer)}


def test_the_networks_have_what_is_tested() -> None:
    plans = [plan_network(network) for network in NETWORKS]
    assert (
        replacing(plans) == replacing([plans[seed] for seed in EMULATED]) == {"table", "pair_table", "add", "max_pool"}
    )
    viewed = {op.kind for seed in EMULATED for op in NETWORKS[seed].ops if plans[seed].is_view(op.output)}
    assert viewed == {"reshape", "concatenate"}
    assert sum(len(pieces) > 1 for plan in plans for pieces in plan.pieces.values()) >= 5
    assert any(tensor.offset % 8 for plan in plans for tensor in plan.arena.tensors)
    files = [[op for op in plan.network.ops if not plan.is_view(op.output)] for plan in plans]
    assert any([layer.op for layer in plan.layers] != file for plan, file in zip(plans, files, strict=True))
