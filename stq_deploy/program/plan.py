"""Network -> program: kernels and packing chosen, layers ordered, memory laid out."""

from __future__ import annotations

from stq_deploy.common.errors import StqError
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
from stq_deploy.program.arena import arena_size, lower_bound, place
from stq_deploy.program.kernels import choose_kernel
from stq_deploy.program.lifetimes import Lifetimes, find_lifetimes
from stq_deploy.program.limits import check_limits
from stq_deploy.program.order import find_execution
from stq_deploy.program.program import Arena, ArenaTensor, Layer, Program
from stq_deploy.program.scratch import scratch_bytes
from stq_deploy.program.traffic import traffic
from stq_deploy.program.weights import weight_layout

MAXIMUM_BYTES = 1 << 30
"""A plan of more memory than this is refused: offsets are int32 in the emitted C."""


def plan_network(network: Network) -> Program:
    """Choose kernels and packing, and lay out the memory. Equal networks give equal programs.

    Raises:
        StqError: the kernels cannot run the network, or it needs more memory than any target could have.
    """
    executed = find_execution(network)
    check_limits(network, executed.layers)
    lifetimes = find_lifetimes(network, executed)
    layers = tuple(_layer(network, i, op) for i, op in enumerate(executed.layers))
    program = Program(network, layers, _arena(lifetimes, executed.lower_bound), executed.views.pieces)
    total = program.arena.bytes + program.scratch_bytes + program.weight_bytes + program.table_bytes
    if total > MAXIMUM_BYTES:
        raise StqError(
            f"the network needs {total:,} bytes of memory, more than any board has",
            where="plan",
            cause="a tensor of the model is enormous, or the .stq file is damaged",
            next="check the model's shapes with `stq-deploy inspect`",
        )
    return program


def _arena(lifetimes: Lifetimes, order_lower_bound: int) -> Arena:
    blocks = lifetimes.blocks
    offsets = place(blocks)
    tensors = [
        ArenaTensor(b.tensor, at + b.offset, b.bytes, b.first, b.last, lifetimes.replaced.get(b.tensor, ""))
        for block, at in zip(blocks, offsets, strict=True)
        for b in block.buffers
    ]
    tensors.sort(key=lambda t: (t.first, t.offset))
    return Arena(arena_size(blocks, offsets), lower_bound(blocks), order_lower_bound, tuple(tensors))


def _layer(network: Network, index: int, op: Op) -> Layer:
    inputs, output = tuple(network.input_types(op)), network.tensors[op.output]
    weights = weight_layout(op) if isinstance(op, WeightedOp) else None
    weight_bytes, table_bytes = weights.bytes if weights else 0, _table_bytes(op)
    return Layer(
        index=index,
        op=op,
        inputs=inputs,
        output=output,
        kernel=choose_kernel(op, inputs),
        macs=op.macs(inputs, output),
        weights=weights,
        table_bytes=table_bytes,
        scratch_bytes=scratch_bytes(op, inputs, output),
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
