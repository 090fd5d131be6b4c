"""Activations packed while they wait: the same logits from a smaller arena, or nothing changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import MaxPool, PairTable, Table, Upsample, Window
from stq_deploy.program import plan_network
from stq_deploy.rewrites.packed_activations import pack_activations
from tests.helpers.branched_networks import branched_network
from tests.helpers.networks import random_levels


def levels_of(count: int, shape: tuple[int, ...], minimum: int = -2) -> TensorType:
    return TensorType(shape, "int8", minimum, minimum + count - 1, 0.25)


def residual(count: int, shape: tuple[int, int, int] = (8, 16, 4), blocks: int = 2) -> Network:
    """Residual blocks: a small layer, two large ones, and the sum with the block's input, which waits meanwhile."""
    whole, small = levels_of(count, shape), levels_of(count, (shape[0] // 4, *shape[1:]))
    tensors, ops, skip = {"x": whole}, [], "x"
    rng = np.random.default_rng(count)
    for block in range(blocks):
        names = [f"{name}{block}" for name in ("narrow", "wide", "smooth", "sum")]
        tensors |= dict(zip(names, (small, whole, whole, whole), strict=True))
        narrow, wide, smooth, total = names
        table = rng.integers(-2, count - 2, (count, count)).astype(np.int8)
        ops += [
            MaxPool(narrow, (skip,), narrow, (), window=Window((4, 1), (4, 1))),
            Upsample(wide, (narrow,), wide, (), size=(4, 1)),
            MaxPool(smooth, (wide,), smooth, (), window=Window((3, 1), pad_before=(1, 0), pad_after=(1, 0))),
            PairTable(total, (skip, smooth), total, (), table=table),
        ]
        skip = total
    return Network(tensors, tuple(ops), "x", (skip,))


def assert_same_logits(network: Network, packed: Network) -> None:
    levels = random_levels(network, 6)
    np.testing.assert_array_equal(
        NumpyExecutor(plan_network(packed)).run(levels)[0], NumpyExecutor(plan_network(network)).run(levels)[0]
    )


@pytest.mark.parametrize(("count", "share"), [(16, 2), (7, 2), (4, 4), (3, 4), (2, 8)], ids=str)
def test_a_waiting_tensor_takes_its_share_of_the_bytes(count: int, share: int) -> None:
    network = residual(count)
    size = network.input_type.bytes
    assert plan_network(network).arena.bytes == 3 * size
    packed = pack_activations(network)
    plan = plan_network(packed)
    assert plan.arena.lower_bound == 2 * size + size // share
    assert plan.arena.bytes <= 2 * size + max(size // share, size // 4)
    assert_same_logits(network, packed)
    waiting = [t for name, t in packed.tensors.items() if name.endswith("_packed") and t.bytes == size // share]
    assert len(waiting) == 2


def test_what_cannot_be_packed_stays_as_it_is() -> None:
    """Pairs of 17 levels do not fit a byte."""
    network = residual(17)
    assert pack_activations(network) is network


def test_what_does_not_pay_is_not_done() -> None:
    """Nothing waits in a chain."""
    tensors = {name: levels_of(4, (4, 4, 2)) for name in ("x", "y", "z")}
    table = np.zeros(256, np.int8)
    ops = (Table("y", ("x",), "y", (), table=table), Table("z", ("y",), "z", (), table=table))
    network = Network(tensors, ops, "x", ("z",))
    assert pack_activations(network) is network


def test_names_that_are_taken_are_left_alone() -> None:
    network = residual(16, blocks=1)
    table = Table("x_packed", ("narrow0",), "x_packed", (), table=np.zeros(256, np.int8))
    tensors = network.tensors | {"x_packed": levels_of(4, network.tensors["narrow0"].shape, minimum=0)}
    taken = Network(tensors, (*network.ops, table), "x", (*network.outputs, "x_packed"))
    packed = pack_activations(taken)
    assert {"x_packed", "x_packed_2"} <= set(packed.tensors)
    assert_same_logits(taken, packed)


BRANCHED = [branched_network(seed, ops=9, unit=(8, 3)[seed % 2]) for seed in range(16)]


@pytest.mark.parametrize("network", BRANCHED, ids=range(len(BRANCHED)))
def test_random_branches_keep_their_logits_and_need_no_more(network: Network) -> None:
    packed = pack_activations(network)
    before, after = plan_network(network).arena.bytes, plan_network(packed).arena.bytes
    assert after < before or packed is network
    assert_same_logits(network, packed)


def test_packed_networks_run_in_c(host_cache: Path) -> None:
    packed = pack_activations(residual(4))
    levels = random_levels(packed, 4)
    with HostExecutor(plan_network(packed), kernels="cortex_m7", workers=1, cache_dir=host_cache) as host:
        np.testing.assert_array_equal(host.layer_crcs(levels), NumpyExecutor(plan_network(packed)).layer_crcs(levels))
