"""The memory that each tensor needs, during which layers, and the tensors tied to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stq_deploy.network import Network
from stq_deploy.program.buffers import Block, Buffer
from stq_deploy.program.groups import Groups, Tie
from stq_deploy.program.in_place import replaceable_inputs
from stq_deploy.program.kernels.candidate import Candidate
from stq_deploy.program.views import Views, ties_of


@dataclass(frozen=True)
class Lifetimes:
    """Memory that the tensors of a network need.

    Attributes:
        blocks: of all stored tensors.
        replaced: output of a layer -> the input whose memory it takes.
    """

    blocks: tuple[Block, ...]
    replaced: dict[str, str]


def find_lifetimes(network: Network, views: Views, layers: Sequence[Candidate]) -> Lifetimes:
    """The buffers of all stored tensors; a layer writes over an input that is not read again, where it can.

    Args:
        layers: in the order they run.
    """
    pieces = views.pieces
    ops = [layer.work.op for layer in layers]
    first = {network.input: -1} | {op.output: i for i, op in enumerate(ops)}
    last = dict(first)  # an unread output still has to be written somewhere
    for layer, op in enumerate(ops):
        last |= dict.fromkeys((piece for name in op.inputs for piece in pieces[name]), layer)
    last |= dict.fromkeys((piece for name in network.outputs for piece in pieces[name]), len(layers))
    handed_over: set[frozenset[str]] = set()  # pairs of an output and the input that it replaces

    def may_share(a: str, b: str) -> bool:
        return frozenset((a, b)) in handed_over or last[a] < first[b] or last[b] < first[a]

    stored = {name: network.tensors[name] for name in first}
    groups = Groups(stored, may_share)
    for whole in views.wholes:
        groups.tie(ties_of(whole, network))
    replaced = {}
    for layer, (op, chosen) in enumerate(zip(ops, layers, strict=True)):
        for name in replaceable_inputs(chosen, views):
            parts = pieces[name]
            if all(last[part] == layer for part in parts):
                handed_over |= {frozenset((op.output, part)) for part in parts}
                if groups.tie([Tie(parts[0], op.output, 0)]):
                    replaced[op.output] = name
                    break
                handed_over -= {frozenset((op.output, part)) for part in parts}
    blocks = [
        Block(tuple(Buffer(n, at, stored[n].bytes, first[n], last[n]) for n, at in group.items()))
        for group in groups.all()
    ]
    return Lifetimes(tuple(blocks), replaced)
