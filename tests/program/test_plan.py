"""Plans of whole networks: lifetimes, views, in-place layers, kernels and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import firmware_templates
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import (
    Add,
    AveragePool,
    Concatenate,
    Dense,
    MaxPool,
    Op,
    PairTable,
    Rescale,
    Reshape,
    Table,
    WeightedOp,
    Window,
)
from stq_deploy.network.requantize import KeepAccumulator, ThresholdRequantize
from stq_deploy.program import Program, plan_network, with_scratch_apart
from stq_deploy.program.kernels.choice import all_kernels
from stq_deploy.program.kernels.constant_outputs import SCATTER
from tests.helpers.branched_networks import branched_network
from tests.helpers.networks import random_network

IMAGE = TensorType((4, 4, 2), "int8", 0, 3, 1.0)
FLAT = TensorType((32,), "int8", 0, 3, 1.0)
TABLE = np.zeros(256, np.int8)
ENORMOUS = TensorType((1 << 14, 1 << 14), "int32", 0, 3, 1.0)
PAIRS = np.zeros((4, 4), np.int8)


def network(tensors: dict[str, TensorType], *ops: Op, outputs: tuple[str, ...] = ("y",)) -> Network:
    return Network({"x": IMAGE} | tensors, ops, "x", outputs)


def table(name: str, x: str, y: str) -> Table:
    return Table(name, (x,), y, (), TABLE)


def replaced(plan: Program) -> list[str | None]:
    return [plan.replaces(layer) for layer in plan.layers]


def test_tables_write_over_an_input_that_dies() -> None:
    plan = plan_network(network({"a": IMAGE, "y": IMAGE}, table("t", "x", "a"), table("u", "a", "y")))
    assert plan.offset("x") == plan.offset("a") == plan.offset("y")
    assert plan.arena.bytes == 32


def test_tables_spare_an_input_that_lives_on() -> None:
    ops = table("t", "x", "a"), PairTable("p", ("x", "a"), "y", (), PAIRS)
    plan = plan_network(network({"a": IMAGE, "y": IMAGE}, *ops))
    assert plan.offset("a") != plan.offset("x")
    assert plan.offset("y") == plan.offset("x")  # both die in the pair table; the first takes the output
    assert plan.arena.bytes == 64


def test_a_pool_writes_over_its_input_where_no_window_begins_before_its_output() -> None:
    def arena(window: Window, shape: tuple[int, int, int]) -> int:
        y = TensorType(shape, "int8", 0, 3, 1.0)
        return plan_network(network({"y": y}, MaxPool("m", ("x",), "y", (), window))).arena.bytes

    assert arena(Window((1, 1)), (4, 4, 2)) == 32
    assert arena(Window((2, 2), (2, 2)), (2, 2, 2)) == 32
    assert arena(Window((3, 3), (2, 2), pad_after=(1, 1)), (2, 2, 2)) == 32
    # With padding before it, the second window begins where the first output is written.
    assert arena(Window((3, 3), pad_before=(1, 1), pad_after=(1, 1)), (4, 4, 2)) == 64
    # More padding behind than before: rows of the output are longer than those of the input.
    assert arena(Window((1, 3), pad_after=(0, 2)), (4, 4, 2)) == 32
    assert arena(Window((1, 3), pad_before=(0, 1), pad_after=(0, 2)), (4, 5, 2)) == 72


def test_a_sum_writes_over_an_input_that_is_no_narrower() -> None:
    keep = KeepAccumulator(2, 0, 6)

    def plan(x: str, y: str) -> Program:
        a, b = (TensorType((4, 4, 2), dtype, 0, 6, 1.0) for dtype in (x, y))
        ops = (
            Add("a", ("x", "x"), "a", (), factors=(1, 1), requantize=keep),
            Add("b", ("a", "a"), "y", (), factors=(1, 1), requantize=KeepAccumulator(2, 0, 12)),
        )
        return plan_network(network({"a": a, "y": replace(b, maximum=12)}, *ops))

    assert replaced(plan("int8", "int8")) == ["x", "a"]
    assert replaced(plan("int16", "int8")) == [None, "a"]
    assert replaced(plan("int8", "int16")) == ["x", None]
    assert with_scratch_apart(plan("int16", "int8")).arena.bytes == 32 + 64


def test_tables_spare_an_output_of_the_network() -> None:
    plan = plan_network(
        network({"a": IMAGE, "y": IMAGE}, table("t", "x", "a"), table("u", "a", "y"), outputs=("y", "a"))
    )
    assert plan.offset("a") != plan.offset("y")


def test_other_layers_never_write_over_their_input() -> None:
    plan = plan_network(dense(TensorType((8,), "int8", 0, 3, 1.0), outputs=2))
    assert plan.offset("x") != plan.offset("y")


def test_a_reshape_is_a_view_and_keeps_its_source_alive() -> None:
    ops = (
        MaxPool("m", ("x",), "a", (), Window((1, 1))),
        Reshape("r", ("a",), "f", ()),
        table("n", "a", "b"),
        table("t", "b", "c"),
        Dense("d", ("f",), "y", (), np.ones((32, 2), np.int8), 2, KeepAccumulator(2, 0, 96)),
    )
    y = TensorType((2,), "int32", 0, 96, 1.0)
    net = network({"a": IMAGE, "f": FLAT, "b": IMAGE, "c": IMAGE, "y": y}, *ops, outputs=("y", "c"))
    plan = plan_network(net)
    assert [layer.name for layer in plan.layers] == ["m", "d", "n", "t"]  # `a` dies in `n`, if `d` comes before
    assert plan.offset("f") == plan.offset("a") == plan.offset("b") == plan.offset("c")
    assert plan.lifetime("f") == plan.lifetime("a") == (0, 2)
    assert plan.lifetime("c")[1] == plan.lifetime("y")[1] == 4


def test_a_table_through_a_view_of_a_living_tensor_is_not_in_place() -> None:
    ops = Reshape("r", ("x",), "f", ()), table("t", "f", "g"), table("u", "x", "y")
    plan = plan_network(network({"f": FLAT, "g": FLAT, "y": IMAGE}, *ops, outputs=("y", "g")))
    assert plan.offset("g") != plan.offset("x")
    assert plan.offset("y") == plan.offset("x")


def test_a_piece_of_a_concatenation_never_puts_a_wider_input_on_an_odd_address() -> None:
    """The second of two bytes, joined without a copy, would be written over the 16-bit input it is made of."""
    wide, byte = TensorType((1, 1, 1), "int16", -480, 480, 1.0), TensorType((1, 1, 1), "int8", -8, 15, 1.0)
    keep = ThresholdRequantize(np.zeros((1, 2), np.int32), np.ones(1, np.int8), 0)
    point = Window((1, 1), (1, 1), (1, 1), (0, 0), (0, 0))
    net = Network(
        {"x": byte, "w": wide, "a": byte, "b": byte, "y": TensorType((1, 1, 2), "int8", -8, 15, 1.0)},
        (
            AveragePool("widen", ("x",), "w", (), point, KeepAccumulator(1, -8, 15)),
            AveragePool("first", ("w",), "a", (), point, keep),
            AveragePool("second", ("w",), "b", (), point, keep),
            Concatenate("join", ("a", "b"), "y", (), 2, (1, 1)),
        ),
        "x", ("y",),
    )  # fmt: skip
    plan = plan_network(net)
    assert plan.offset("w") % 2 == 0
    assert plan.offset("b") == plan.offset("a") + 1


def test_an_output_nobody_reads_disturbs_nothing() -> None:
    plan = plan_network(
        network({"a": IMAGE, "y": IMAGE}, MaxPool("m", ("x",), "a", (), Window((1, 1))), table("t", "x", "y"))
    )
    assert plan.offset("a") != plan.offset("x")


def check_memory(net: Network, plan: Program) -> None:
    """Run the layers on paper: what each reads is what was written there last, byte by byte."""
    held: dict[int, str] = {}  # byte of the arena -> the stored tensor last written there

    def write(tensor: str) -> None:
        start = plan.offset(tensor)
        held.update(dict.fromkeys(range(start, start + net.tensors[tensor].bytes), tensor))

    def intact(tensor: str) -> bool:
        at = plan.offset(tensor)
        for piece in plan.pieces[tensor]:
            if any(held.get(byte) != piece for byte in range(at, at + net.tensors[piece].bytes)):
                return False
            at += net.tensors[piece].bytes
        return at == plan.offset(tensor) + net.tensors[tensor].bytes

    write(net.input)
    for layer in plan.layers:
        assert all(intact(name) for name in layer.op.inputs), layer.op.name
        write(layer.op.output)
    assert all(intact(name) for name in net.outputs)
    assert max(held) < plan.arena.bytes
    assert plan.arena.order_lower_bound <= plan.arena.lower_bound <= plan.arena.bytes
    for name, tensor in net.tensors.items():
        assert plan.offset(name) % (2 if tensor.dtype == "int16" else 4 if tensor.dtype == "int32" else 1) == 0


@pytest.mark.parametrize("seed", range(20))
def test_plans_of_random_networks_hold_together(seed: int) -> None:
    net = random_network(seed)
    plan = plan_network(net)
    assert [layer.op for layer in plan.layers] == [layer.op for layer in plan_network(net).layers]
    assert plan.arena == plan_network(net).arena
    assert plan.macs == sum(macs for _, macs in net.macs())
    check_memory(net, plan)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 8]))
def test_plans_of_branched_networks_hold_together(seed: int, unit: int) -> None:
    net = branched_network(seed, ops=12, unit=unit, copies=False)
    check_memory(net, plan_network(net))


def test_every_kernel_of_the_table_is_declared_in_the_contract() -> None:
    contract = (firmware_templates() / "kernels" / "include" / "stq_nn.h").read_text()
    declared = set(re.findall(r"^STQ_DECLARE_\w+\((stq_\w+)|^stq_status (stq_\w+)\(", contract, re.M))
    assert {kernel.function for kernel in all_kernels()} | {SCATTER} == {a or b for a, b in declared}


def test_kernels_follow_weights_and_input_type() -> None:
    layers = [(net, layer) for net in map(random_network, range(12)) for layer in plan_network(net).layers]
    for net, layer in layers:
        if isinstance(layer.op, WeightedOp):
            weights = {1: "b1", 2: "t2", 4: "s4", 8: "s8", 16: "s16"}[layer.op.weight_bits]
            levels = {"int8": "s8", "int16": "s16"}[net.input_types(layer.op)[0].dtype]
            others = {"convolve": ("gather8", "gather16"), "depthwise_convolve": ("depthwise8",)}
            ways = (layer.op.kind, *others.get(layer.op.kind, ()))
            assert layer.kernel in {f"stq_{way}_{weights}_{levels}" for way in ways}


def dense(x: TensorType, outputs: int = 1, requantize: object = None, **output: object) -> Network:
    y = {
        "shape": (outputs,),
        "dtype": "int32",
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
        "scale": 1.0,
    } | output
    keep = requantize or KeepAccumulator(outputs, -(2**31), 2**31 - 1)
    weights = np.ones((x.elements, outputs), np.int8)
    op = Dense("fully connected", ("x",), "y", (), weights, 2, keep)  # type: ignore[arg-type]
    return Network({"x": x, "y": TensorType(**y)}, (op,), "x", ("y",))  # type: ignore[arg-type]


REFUSED = {
    "32-bit input": (
        Network(
            {"x": TensorType((3,), "int32", 0, 3, 1.0), "y": TensorType((3,), "int32", 0, 3, 1.0)},
            (Rescale("r", ("x",), "y", (), KeepAccumulator(3, 0, 3)),),
            "x",
            ("y",),
        ),
        "stored as int32",
    ),
    "only views": (
        Network({"x": IMAGE, "f": FLAT}, (Reshape("r", ("x",), "f", ()),), "x", ("f",)),
        "no layer that computes",
    ),
    "far zero point": (dense(TensorType((3,), "int8", 0, 3, 1.0, zero_point=40_000)), "beyond 16 bits"),
    "enormous tensor": (
        Network(
            {"x": replace(ENORMOUS, dtype="int16"), "y": replace(ENORMOUS, maximum=6)},
            (Add("a", ("x", "x"), "y", (), KeepAccumulator(1 << 14, 0, 6), (1, 1)),), "x", ("y",),
        ),
        "more than any board has",
    ),
    "huge factor": (
        Network(
            # The sum fits, which the network itself checks; its terms do not.
            {"x": TensorType((1,), "int8", 3, 3, 1.0), "y": TensorType((1,), "int8", 0, 0, 1.0)},
            (Add("a", ("x", "x"), "y", (), KeepAccumulator(1, 0, 0), (2**30, -(2**30))),), "x", ("y",),
        ),
        "factor 1073741824 overflows",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("net", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_kernels_cannot_run_is_refused(net: Network, message: str) -> None:
    with pytest.raises(StqError, match=message):
        plan_network(net)
