"""Network -> program: kernels and packing chosen, layers ordered, memory laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network
from stq_deploy.program.arena import arena_size, lower_bound, place
from stq_deploy.program.buffers import Block, Buffer
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.kernels.choice import choose_kernels
from stq_deploy.program.kernels.trade import DEFAULT, Optimization
from stq_deploy.program.lifetimes import Lifetimes, find_lifetimes
from stq_deploy.program.limits import check_limits
from stq_deploy.program.order import find_execution
from stq_deploy.program.program import Arena, ArenaScratch, ArenaTensor, Layer, Program
from stq_deploy.program.views import find_views

MAXIMUM_BYTES = 1 << 30
"""A plan of more memory than this is refused: offsets are int32 in the emitted C."""


def plan_network(
    network: Network, kernels: Mapping[str, str] | None = None, optimize: Optimization = DEFAULT
) -> Program:
    """Choose kernels and packing, and lay out the memory. Equal networks give equal programs.

    Args:
        kernels: layer -> C function of the kernel that shall run it, instead of the one that suits `optimize`.
        optimize: what the other layers' kernels are chosen for, "balanced", "speed" or "size".

    Raises:
        StqError: the kernels cannot run the network, or it needs more memory than any target could have.
    """
    views = find_views(network)
    check_limits(network, views)
    chosen = choose_kernels(network, views, kernels, optimize)
    executed = find_execution(network, views, chosen)
    lifetimes = find_lifetimes(network, views, executed.layers)
    layers = tuple(_layer(i, one) for i, one in enumerate(executed.layers))
    scratch = [layer.scratch_bytes for layer in layers]
    arena = _arena(lifetimes, scratch, executed.lower_bound)
    program = Program(network, layers, arena, executed.views.pieces, optimize)
    total = program.arena.bytes + program.separate_scratch_bytes + program.weight_bytes + program.table_bytes
    if total > MAXIMUM_BYTES:
        raise StqError(
            f"the network needs {total:,} bytes of memory, more than any board has",
            where="plan",
            cause="a tensor of the model is enormous, or the .stq file is damaged",
            next="check the model's shapes with `stq-deploy inspect`",
        )
    return program


def with_scratch_apart(program: Program) -> Program:
    """The same layers in the same order, with scratch memory beside the arena; all layers share it.

    It is for a board whose fastest memory holds either, but not both.
    """
    network, views = program.network, find_views(program.network)
    layers = tuple(Candidate(layer.spec, layer.function, layer.work) for layer in program.layers)
    place_in_file = {op.name: index for index, op in enumerate(network.ops)}
    own_order = sorted(layers, key=lambda one: place_in_file[one.work.op.name])
    bound = find_execution(network, views, own_order, with_scratch=False).lower_bound
    lifetimes = find_lifetimes(network, views, layers)
    return replace(program, arena=_arena(lifetimes, [], bound))


def _arena(lifetimes: Lifetimes, scratch: Sequence[int], order_lower_bound: int) -> Arena:
    """The arena of some tensors, and of the scratch bytes of each layer; none if they lie elsewhere."""
    needed = [(layer, size) for layer, size in enumerate(scratch) if size]
    own = [Block((Buffer("", 0, size, layer, layer),)) for layer, size in needed]
    blocks = (*lifetimes.blocks, *own)
    offsets = place(blocks)
    tensors = [
        ArenaTensor(b.tensor, at + b.offset, b.bytes, b.first, b.last, lifetimes.replaced.get(b.tensor, ""))
        for block, at in zip(lifetimes.blocks, offsets, strict=False)
        for b in block.buffers
    ]
    tensors.sort(key=lambda t: (t.first, t.offset))
    own_offsets = offsets[len(lifetimes.blocks) :]
    places = tuple(ArenaScratch(layer, at, size) for (layer, size), at in zip(needed, own_offsets, strict=True))
    return Arena(arena_size(blocks, offsets), lower_bound(blocks), order_lower_bound, tuple(tensors), places)


def _layer(index: int, chosen: Candidate) -> Layer:
    spec, work = chosen.spec, chosen.work
    return Layer(
        index=index,
        op=work.op,
        inputs=work.inputs,
        output=work.output,
        spec=spec,
        function=chosen.kernel,
        macs=work.op.macs(work.inputs, work.output),
        weights=spec.weights(work),
        table_bytes=spec.table_bytes(work),
        scratch_bytes=spec.scratch_bytes(work),
        traffic=spec.traffic(work),
    )
