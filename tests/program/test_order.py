"""The order of execution: never worse than the network's own, and equal to brute force where that is possible."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Concatenate, MaxPool, Op, Reshape, Table, Window
from stq_deploy.program import plan_network
from stq_deploy.program.buffers import aligned
from stq_deploy.program.kernels.choice import choose_kernels
from stq_deploy.program.order import BUDGET, Execution
from stq_deploy.program.order import find_execution as find_execution_of
from stq_deploy.program.views import find_views
from tests.helpers.branched_networks import branched_network

seeds = st.integers(0, 2**32 - 1)
TABLE = np.zeros(256, np.int8)


def find_execution(network: Network, budget: int = BUDGET, *, with_scratch: bool = True) -> Execution:
    views = find_views(network)
    return find_execution_of(network, views, choose_kernels(network, views), budget, with_scratch=with_scratch)


def scratch_of(network: Network) -> dict[str, int]:
    """Op -> bytes of its kernel's scratch memory, in whole units of the alignment."""
    return {one.work.op.name: aligned(one.scratch_bytes) for one in choose_kernels(network, find_views(network))}


def ops_of(execution: Execution) -> list[Op]:
    return [layer.work.op for layer in execution.layers]


def topological_orders(layers: list[Op], reads: dict[str, set[str]], ready: set[str]) -> Iterator[list[Op]]:
    if not layers:
        yield []
    for op in layers:
        if reads[op.name] <= ready:
            rest = [other for other in layers if other is not op]
            for order in topological_orders(rest, reads, ready | {op.output}):
                yield [op, *order]


def peak(network: Network, order: list[Op], reads: dict[str, set[str]], scratch: dict[str, int]) -> int:
    """Bytes in use at the worst moment, from the definition: what was written and will be read, output and scratch.

    An output takes no memory beside an input of the same shape that dies; the tests' tables and pair tables may all
    write in place, and of their pools those of 1 x 1 windows, and of stride 2 without padding.
    """
    pieces = find_views(network).pieces
    kept = {piece for name in network.outputs for piece in pieces[name]}
    written = {network.input}
    worst = network.input_type.bytes
    for at, op in enumerate(order):
        later = {name for other in order[at + 1 :] for name in reads[other.name]} | kept
        live = sum(network.tensors[name].bytes for name in written & (later | reads[op.name]))
        output = network.tensors[op.output]
        padded = isinstance(op, MaxPool) and op.window.pad_before != (0, 0)
        in_place = any(
            network.tensors[name].dtype == output.dtype and not padded and not later & set(pieces[name])
            and all(pieces[o] == pieces[name] or not set(pieces[o]) & set(pieces[name]) for o in op.inputs)
            for name in op.inputs
        ) and op.kind != "concatenate"  # fmt: skip
        worst = max(worst, live + scratch.get(op.name, 0) + (0 if in_place else output.bytes))
        written.add(op.output)
    return worst


def layers_and_reads(network: Network) -> tuple[list[Op], dict[str, set[str]]]:
    views = find_views(network)
    layers = [op for op in network.ops if not views.is_view(op)]
    return layers, {op.name: {piece for name in op.inputs for piece in views.pieces[name]} for op in layers}


@settings(max_examples=60, deadline=None)
@given(seeds, st.booleans())
def test_the_best_order_is_that_of_brute_force(seed: int, with_scratch: bool) -> None:
    network = branched_network(seed, ops=8)
    layers, reads = layers_and_reads(network)
    scratch = scratch_of(network) if with_scratch else {}
    orders = topological_orders(layers, reads, {network.input})
    best = min(peak(network, order, reads, scratch) for order in orders)
    found = find_execution(network, with_scratch=with_scratch)
    assert found.lower_bound == found.live_bytes == best == peak(network, ops_of(found), reads, scratch)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(0, 30))
def test_out_of_budget_the_order_is_good_and_the_bound_true(seed: int, budget: int) -> None:
    network = branched_network(seed, ops=14)
    layers, reads = layers_and_reads(network)
    best, found = find_execution(network), find_execution(network, budget)
    assert found.lower_bound <= best.live_bytes <= found.live_bytes <= peak(network, layers, reads, scratch_of(network))
    ready = {network.input}
    for op in ops_of(found):
        assert reads[op.name] <= ready
        ready.add(op.output)
    assert {op.name for op in ops_of(found)} == {op.name for op in layers}


def image(rows: int) -> TensorType:
    return TensorType((rows, 8, 1), "int8", 0, 3, 1.0)


def pool(name: str, x: str, stride: int = 1) -> MaxPool:
    return MaxPool(name, (x,), name, (), Window((stride, 1), (stride, 1)))


def names(execution: Execution) -> list[str]:
    return [op.name for op in ops_of(execution)]


def two_branches() -> Network:
    """Each branch widens before it narrows: one after the other needs less than side by side."""
    widen = {name: Window((3, 1), pad_before=(1, 0), pad_after=(1, 0)) for name in ("a", "b")}
    ops = (
        *(MaxPool(name, ("x",), name, (), window) for name, window in widen.items()),
        pool("a2", "a", 16),
        pool("b2", "b", 16),
        Concatenate("y", ("a2", "b2"), "y", (), 0, (1, 1)),
    )
    tensors = {"x": image(16), "a": image(16), "b": image(16), "a2": image(1), "b2": image(1), "y": image(2)}
    return Network(tensors, ops, "x", ("y",))


def test_branches_run_one_after_the_other() -> None:
    found = find_execution(two_branches())
    assert names(found) == ["a", "a2", "b", "b2"]
    assert found.lower_bound == found.live_bytes == (16 + 16 + 1) * 8
    plan = plan_network(two_branches())
    assert plan.arena.bytes == plan.arena.lower_bound == plan.arena.order_lower_bound == found.live_bytes


def test_the_networks_own_order_stays_where_it_is_best() -> None:
    ops = (Table("b", ("x",), "b", (), TABLE), Table("a", ("x",), "a", (), TABLE))
    found = find_execution(Network({"x": image(1), "a": image(1), "b": image(1)}, ops, "x", ("a", "b")))
    assert names(found) == ["b", "a"]


@pytest.mark.parametrize("branches", [3, 12])
def test_many_branches_run_one_after_the_other(branches: int) -> None:
    """Twelve branches of three layers are 4^12 sets of layers, of which the search looks at a few."""
    widen = Window((3, 1), pad_before=(1, 0), pad_after=(1, 0))
    tensors, ops = {"x": image(16)}, []
    for i in range(branches):
        for name, x, rows in ((f"a{i}", "x", 16), (f"b{i}", f"a{i}", 16)):
            ops.append(MaxPool(name, (x,), name, (), widen))
            tensors[name] = image(rows)
        ops.append(pool(f"c{i}", f"b{i}", 16))
        tensors[f"c{i}"] = image(1)
    parts = tuple(f"c{i}" for i in range(branches))
    tensors["y"] = image(branches)
    ops.append(Concatenate("y", parts, "y", (), 0, (1,) * branches))
    by_depth = sorted(ops[:-1], key=lambda op: op.name[0])
    found = find_execution(Network(tensors, (*by_depth, ops[-1]), "x", ("y",)))
    assert found.live_bytes == (3 * 16 + branches - 2) * 8  # the last branch no longer needs x
    assert found.lower_bound == found.live_bytes or branches == 12


def test_reshapes_are_no_layers() -> None:
    flat = TensorType((8,), "int8", 0, 3, 1.0)
    network = Network(
        {"x": image(1), "f": flat, "y": flat},
        (Reshape("f", ("x",), "f", ()), Table("y", ("f",), "y", (), TABLE)),
        "x",
        ("y",),
    )
    assert names(find_execution(network)) == ["y"]
