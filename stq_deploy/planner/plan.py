"""The plan of a network: everything the emitted C and the reports need to know about kernels and memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from stq_deploy.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.ops import Curve, Op, PairTable, RequantizedOp, Softmax, Table, WeightedOp
from stq_deploy.network.requantize import (
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)
from stq_deploy.planner.arena import arena_size, lower_bound, place
from stq_deploy.planner.buffers import Block, Buffer
from stq_deploy.planner.kernels import choose_kernel
from stq_deploy.planner.lifetimes import find_lifetimes
from stq_deploy.planner.limits import check_limits
from stq_deploy.planner.order import Execution, execution
from stq_deploy.planner.scratch import scratch_bytes
from stq_deploy.planner.traffic import Traffic, traffic
from stq_deploy.planner.weights import WeightLayout, weight_layout

MAXIMUM_BYTES = 1 << 30
"""A plan of more memory than this is refused: offsets are int32 in the emitted C."""


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer of the emitted network.

    Attributes:
        index: its place among the layers.
        op: what it computes.
        kernel: C name of the kernel that runs it.
        macs: multiply-accumulates of one inference.
        weights: how its weights are packed; None for a layer without.
        table_bytes: constants beside the weights: requantization arrays and look-up tables.
        scratch_bytes: working memory of the kernel while the layer runs.
        replaces: the input whose memory the output takes; None if it has memory of its own.
        traffic: bytes it reads and writes in one inference.
    """

    index: int
    op: Op
    kernel: str
    macs: int
    weights: WeightLayout | None
    table_bytes: int
    scratch_bytes: int
    replaces: str | None
    traffic: Traffic

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.weights.bytes if self.weights else 0


@dataclass(frozen=True, eq=False)
class Plan:
    """Kernels and memory of a network.

    Attributes:
        network: what is planned.
        execution: the order of its layers, and which tensors are views.
        layers: in the order they run.
        blocks: the memory of all stored tensors, and during which layers each piece is needed.
        offsets: byte offset in the arena of each block.
    """

    network: Network
    execution: Execution
    layers: tuple[LayerPlan, ...]
    blocks: tuple[Block, ...]
    offsets: tuple[int, ...]

    @cached_property
    def _places(self) -> dict[str, tuple[Buffer, int]]:
        return {
            buffer.tensor: (buffer, at + buffer.offset)
            for block, at in zip(self.blocks, self.offsets, strict=True)
            for buffer in block.buffers
        }

    def pieces(self, tensor: str) -> tuple[str, ...]:
        """The stored tensors that `tensor` consists of, one directly behind the other; itself if it is stored."""
        return self.execution.views.pieces[tensor]

    def offset(self, tensor: str) -> int:
        """Byte offset of `tensor` in the arena."""
        return self._places[self.pieces(tensor)[0]][1]

    def lifetime(self, tensor: str) -> tuple[int, int]:
        """The layers during which the memory of `tensor` is needed, as `Buffer.first` and `.last`."""
        buffers = [self._places[piece][0] for piece in self.pieces(tensor)]
        return min(b.first for b in buffers), max(b.last for b in buffers)

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena."""
        return arena_size(self.blocks, self.offsets)

    @property
    def arena_lower_bound(self) -> int:
        """Bytes that no placement can go below with the layers in this order."""
        return lower_bound(self.blocks)

    @property
    def order_lower_bound(self) -> int:
        """Bytes that no placement can go below, whatever the order of the layers."""
        return self.execution.lower_bound

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch memory that all layers share."""
        return max(layer.scratch_bytes for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all packed weights."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def table_bytes(self) -> int:
        """Bytes of all requantization arrays and look-up tables."""
        return sum(layer.table_bytes for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)


def plan_network(network: Network) -> Plan:
    """Choose kernels and packing, and lay out the memory.

    Raises:
        StqError: the kernels cannot run the network, or it needs more memory than any target could have.
    """
    check_limits(network)
    executed = execution(network)
    lifetimes = find_lifetimes(network, executed)
    replaced = lifetimes.replaced
    layers = tuple(_plan_layer(network, i, op, replaced.get(op.output)) for i, op in enumerate(executed.layers))
    plan = Plan(network, executed, layers, lifetimes.blocks, place(lifetimes.blocks))
    total = plan.arena_bytes + plan.scratch_bytes + plan.weight_bytes + plan.table_bytes
    if total > MAXIMUM_BYTES:
        raise StqError(
            f"the network needs {total:,} bytes of memory, more than any board has",
            where="plan",
            cause="a tensor of the model is enormous, or the .stq file is damaged",
            next="check the model's shapes with `stq-deploy inspect`",
        )
    return plan


def _plan_layer(network: Network, index: int, op: Op, replaces: str | None) -> LayerPlan:
    inputs, output = network.input_types(op), network.tensors[op.output]
    weights = weight_layout(op) if isinstance(op, WeightedOp) else None
    weight_bytes, table_bytes = weights.bytes if weights else 0, _table_bytes(op)
    return LayerPlan(
        index=index,
        op=op,
        kernel=choose_kernel(op, inputs),
        macs=op.macs(inputs, output),
        weights=weights,
        table_bytes=table_bytes,
        scratch_bytes=scratch_bytes(op, inputs, output),
        replaces=replaces,
        traffic=traffic(op, inputs, output, weight_bytes=weight_bytes, table_bytes=table_bytes),
    )


def _table_bytes(op: Op) -> int:
    if isinstance(op, (Table, PairTable, Curve, Softmax)):
        return op.table.nbytes
    if isinstance(op, RequantizedOp):
        return _requantize_bytes(op.requantize)
    return 0


def _requantize_bytes(requantize: Requantize) -> int:
    if isinstance(requantize, MultiplierRequantize):
        return requantize.multiplier.nbytes + requantize.offset.nbytes
    if isinstance(requantize, WideRequantize):
        return requantize.multiplier.nbytes + requantize.offset.nbytes + requantize.shift.nbytes
    if isinstance(requantize, LongRequantize):
        return sum(array.nbytes for array in requantize.arrays())
    if isinstance(requantize, ShiftRequantize):
        return requantize.offset.nbytes + requantize.shift.nbytes
    if isinstance(requantize, ThresholdRequantize):
        return requantize.thresholds.nbytes + requantize.sign.nbytes
    return requantize.table.nbytes if isinstance(requantize, TableRequantize) else 0
