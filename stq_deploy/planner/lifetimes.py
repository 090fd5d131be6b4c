"""Which memory each tensor needs, and from which layer to which."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stq_deploy.network import Network
from stq_deploy.network.ops import Op, PairTable, Reshape, Table

_IN_PLACE = (Table, PairTable)
"""Ops whose kernels may write over an input (`stq_nn.h` says which)."""


@dataclass(frozen=True)
class Buffer:
    """One piece of memory and the tensors that take turns in it, or are views of it.

    Attributes:
        tensors: their names, in the order they are written.
        bytes: size of the largest.
        first, last: the layers during which it must stay intact, both included. -1 is before the first layer,
            when the input is put in place; the number of layers is after the last one, when outputs are read.
    """

    tensors: tuple[str, ...]
    bytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are needed during some layer, so that they cannot share memory."""
        return self.first <= other.last and other.first <= self.last


def assign_buffers(network: Network) -> tuple[Buffer, ...]:
    """One buffer per tensor, but a view shares its source's, and a table may write over its input."""
    root = _view_roots(network)
    last_read = _last_reads(network, root)
    buffers = [Buffer((network.input,), network.input_type.bytes, -1, last_read[network.input])]
    of = {network.input: 0}  # tensor -> index of its buffer
    layer = 0
    for op in network.ops:
        if isinstance(op, Reshape):
            of[op.output] = of[op.inputs[0]]
            host = buffers[of[op.output]]
            buffers[of[op.output]] = replace(host, tensors=(*host.tensors, op.output))
            continue
        last = max(layer, last_read[op.output])  # what nobody reads still has to be written somewhere
        dying = _dying_input(op, layer, root, last_read)
        if dying is not None:
            of[op.output] = of[dying]
            host = buffers[of[dying]]
            buffers[of[dying]] = replace(host, tensors=(*host.tensors, op.output), last=last)
        else:
            of[op.output] = len(buffers)
            buffers.append(Buffer((op.output,), network.tensors[op.output].bytes, layer, last))
        layer += 1
    return tuple(buffers)


def _view_roots(network: Network) -> dict[str, str]:
    """Every tensor -> the tensor it is a view of; itself if none."""
    root = {network.input: network.input}
    for op in network.ops:
        root[op.output] = root[op.inputs[0]] if isinstance(op, Reshape) else op.output
    return root


def _last_reads(network: Network, root: dict[str, str]) -> dict[str, int]:
    """Root tensor -> the last layer that reads it or a view of it; -1 if none."""
    last_read = dict.fromkeys(root.values(), -1)
    layer = 0
    for op in network.ops:
        if not isinstance(op, Reshape):
            for name in op.inputs:
                last_read[root[name]] = layer
            layer += 1
    for name in network.outputs:
        last_read[root[name]] = layer
    return last_read


def _dying_input(op: Op, layer: int, root: dict[str, str], last_read: dict[str, int]) -> str | None:
    if isinstance(op, _IN_PLACE):
        return next((name for name in op.inputs if last_read[root[name]] == layer), None)
    return None
