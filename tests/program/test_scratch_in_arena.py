"""Scratch memory in the arena: a tensor that lives while its layer runs. Or beside the arena, with nothing else new."""

from __future__ import annotations

import pytest

from stq_deploy.network import Network
from stq_deploy.program import Program, plan_network, with_scratch_apart
from tests.helpers.branched_networks import branched_network
from tests.helpers.networks import random_network

NETWORKS = {
    "chain": random_network(3),
    "several outputs": random_network(979, 40),
    "branches": branched_network(1),
}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]


def extents(program: Program, layer: int) -> list[tuple[int, int]]:
    """Where the tensors lie that must stay intact during a layer."""
    return [(t.offset, t.end) for t in program.arena.tensors if t.first <= layer <= t.last]


def test_scratch_meets_no_tensor_of_its_layer(network: Network) -> None:
    program = plan_network(network)
    needing = [layer for layer in program.layers if layer.scratch_bytes]
    assert [place.layer for place in program.arena.scratch] == [layer.index for layer in needing]
    assert program.separate_scratch_bytes == 0 < program.scratch_bytes
    for layer in needing:
        place = program.scratch_of(layer)
        assert place is not None
        assert place.bytes == layer.scratch_bytes
        assert place.offset % 8 == 0 and place.offset + place.bytes <= program.arena.bytes
        for start, end in extents(program, layer.index):
            assert place.offset + place.bytes <= start or end <= place.offset
    most = max(program.ram_bytes(layer) for layer in program.layers)
    assert most <= program.arena.bytes
    assert program.arena.order_lower_bound <= program.arena.lower_bound <= program.arena.bytes


def test_apart_changes_only_where_things_lie(network: Network) -> None:
    program = plan_network(network)
    apart = with_scratch_apart(program)
    assert apart.layers == program.layers
    assert apart.arena.scratch == ()
    assert apart.separate_scratch_bytes == program.scratch_bytes
    assert {t.name for t in apart.arena.tensors} == {t.name for t in program.arena.tensors}
    assert apart.arena.bytes <= program.arena.bytes < apart.arena.bytes + apart.separate_scratch_bytes
    assert apart.arena.order_lower_bound <= apart.arena.lower_bound <= apart.arena.bytes
    assert with_scratch_apart(apart).arena == apart.arena


def test_what_the_kernels_were_chosen_for_is_kept(network: Network) -> None:
    assert plan_network(network).optimize == "balanced"
    assert with_scratch_apart(plan_network(network, optimize="size")).optimize == "size"
