"""The plan of a network: everything the emitted C and the reports need to know about kernels and memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from stq_deploy.errors import StqError
from stq_deploy.network import Network
from stq_deploy.network.ops import Add, Multiply, Op, PairTable, Table, WeightedOp
from stq_deploy.network.requantize import (
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
)
from stq_deploy.planner.arena import arena_size, lower_bound, place
from stq_deploy.planner.kernels import choose_kernel
from stq_deploy.planner.layers import emitted_ops
from stq_deploy.planner.lifetimes import Buffer, assign_buffers
from stq_deploy.planner.limits import check_limits
from stq_deploy.planner.scratch import scratch_bytes
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
        table_bytes: constants beside the weights: requantisation arrays and look-up tables.
        scratch_bytes: working memory of the kernel while the layer runs.
    """

    index: int
    op: Op
    kernel: str
    macs: int
    weights: WeightLayout | None
    table_bytes: int
    scratch_bytes: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.weights.bytes if self.weights else 0


@dataclass(frozen=True, eq=False)
class Plan:
    """Kernels and memory of a network.

    Attributes:
        network: what is planned.
        layers: in the order they run.
        buffers: the memory of all tensors, and during which layers each piece is needed.
        offsets: byte offset in the arena of each buffer.
    """

    network: Network
    layers: tuple[LayerPlan, ...]
    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]

    @cached_property
    def _buffer_index(self) -> dict[str, int]:
        return {name: i for i, buffer in enumerate(self.buffers) for name in buffer.tensors}

    def buffer(self, tensor: str) -> Buffer:
        """The memory that `tensor` lies in."""
        return self.buffers[self._buffer_index[tensor]]

    def offset(self, tensor: str) -> int:
        """Byte offset of `tensor` in the arena."""
        return self.offsets[self._buffer_index[tensor]]

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena."""
        return arena_size(self.buffers, self.offsets)

    @property
    def arena_lower_bound(self) -> int:
        """Bytes that no placement of these buffers can go below."""
        return lower_bound(self.buffers)

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
        """Bytes of all requantisation arrays and look-up tables."""
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
    layers = tuple(_plan_layer(network, i, op) for i, op in enumerate(emitted_ops(network)))
    buffers = assign_buffers(network)
    plan = Plan(network, layers, buffers, place(buffers))
    total = plan.arena_bytes + plan.scratch_bytes + plan.weight_bytes + plan.table_bytes
    if total > MAXIMUM_BYTES:
        raise StqError(
            f"the network needs {total:,} bytes of memory, more than any board has",
            where="plan",
            cause="a tensor of the model is enormous, or the .stq file is damaged",
            next="check the model's shapes with `stq-deploy inspect`",
        )
    return plan


def _plan_layer(network: Network, index: int, op: Op) -> LayerPlan:
    inputs, output = network.input_types(op), network.tensors[op.output]
    return LayerPlan(
        index=index,
        op=op,
        kernel=choose_kernel(op, inputs),
        macs=op.macs(inputs, output),
        weights=weight_layout(op) if isinstance(op, WeightedOp) else None,
        table_bytes=_table_bytes(op),
        scratch_bytes=scratch_bytes(op, inputs, output),
    )


def _table_bytes(op: Op) -> int:
    if isinstance(op, (Table, PairTable)):
        return op.table.nbytes
    if isinstance(op, (WeightedOp, Add, Multiply)):
        return _requantize_bytes(op.requantize)
    return 0


def _requantize_bytes(requantize: Requantize) -> int:
    if isinstance(requantize, MultiplierRequantize):
        return requantize.multiplier.nbytes + requantize.offset.nbytes
    if isinstance(requantize, ShiftRequantize):
        return requantize.offset.nbytes + requantize.shift.nbytes
    if isinstance(requantize, ThresholdRequantize):
        return requantize.thresholds.nbytes + requantize.sign.nbytes
    return requantize.table.nbytes if isinstance(requantize, TableRequantize) else 0
