"""Packs activations of few bits, several to a byte, while no layer reads them, where that makes the arena smaller.

A tensor takes one byte per element, however few its levels. A tensor that waits for a later reader while the arena is
fullest can wait packed. A table of pairs combines an element of its first half with one of its second, if the pairs
have at most 256 values. Two tables separate them again, into adjacent halves. All these are ordinary ops of the
network, so every executor runs them, and every layer's bytes stay defined.

It costs two copies and three look-ups per two elements, so it needs an option (`convert --pack-activations`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Concatenate, Crop, Op, PairTable, Reshape, Table
from stq_deploy.program.plan import plan_network
from stq_deploy.program.program import Program

_BYTE_VALUES = 256


@dataclass(frozen=True)
class _Wait:
    """A tensor that no layer reads for a while.

    Attributes:
        late: names of the ops that read it afterwards.
    """

    tensor: str
    late: frozenset[str]


def pack_activations(network: Network) -> Network:
    """The network with every tensor packed whose packing makes the arena smaller; `network` itself if none does.

    The logits are the same.
    """
    program = plan_network(network)
    while True:
        waits = list(_waits_at_the_peak(program))
        packed = plan_network(_packed(network, waits)) if waits else program
        if packed.arena.bytes >= program.arena.bytes:
            return network
        for wait in tuple(waits):  # packing that does not help is undone
            fewer = [other for other in waits if other != wait]
            tried = plan_network(_packed(network, fewer))
            if tried.arena.bytes <= packed.arena.bytes:
                waits, packed = fewer, tried
        network, program = packed.network, packed


def _waits_at_the_peak(program: Program) -> Iterator[_Wait]:
    """Tensors that can be packed and that no layer reads or writes while the most bytes are in use."""
    layers = [layer.op for layer in program.layers]
    in_use = [program.ram_bytes(layer) for layer in program.layers]
    peaks = [index for index, size in enumerate(in_use) if size == max(in_use)]
    for name, tensor in program.network.tensors.items():
        readers = [op for op in program.network.ops if name in op.inputs]
        if name in program.network.outputs or program.is_view(name) or _rounds(tensor) == 0:
            continue
        if any(program.is_view(op.output) for op in readers):
            continue
        times = [program.lifetime(name)[0], *sorted(layers.index(op) for op in readers)]
        for start, end in pairwise(times):
            if any(start < peak < end for peak in peaks):
                yield _Wait(name, frozenset(op.name for op in readers if layers.index(op) >= end))


def _levels(tensor: TensorType) -> int:
    return tensor.maximum - tensor.minimum + 1


def _rounds(tensor: TensorType) -> int:
    """How many times a tensor can be packed, two elements into one each time."""
    rounds, levels, elements = 0, _levels(tensor), tensor.elements
    while tensor.dtype == "int8" and levels**2 <= _BYTE_VALUES and elements % 2 == 0:
        rounds, levels, elements = rounds + 1, levels**2, elements // 2
    return rounds


def _packed(network: Network, waits: Sequence[_Wait]) -> Network:
    """The network with each of these tensors packed, and unpacked for its late readers."""
    for wait in waits:
        network = _Packing(network, wait).apply()
    return network


class _Packing:
    """One tensor's packing and unpacking, written into a network."""

    def __init__(self, network: Network, wait: _Wait) -> None:
        self._network = network
        self._wait = wait
        self._tensors = dict(network.tensors)
        self._names = {op.name for op in network.ops} | set(network.tensors)

    def apply(self) -> Network:
        ops, name = list(self._network.ops), self._wait.tensor
        late = [index for index, op in enumerate(ops) if op.name in self._wait.late]
        before = [index for index, op in enumerate(ops) if name in (op.output, *op.inputs) and index < late[0]]
        packing, unpacking, restored = self._pack(name)
        for index in late:
            inputs = tuple(restored if one == name else one for one in ops[index].inputs)
            ops[index] = replace(ops[index], inputs=inputs)
        at = before[-1] + 1 if before else 0
        ops = [*ops[:at], *packing, *ops[at : late[0]], *unpacking, *ops[late[0] :]]
        return replace(self._network, tensors=self._tensors, ops=tuple(ops))

    def _pack(self, name: str) -> tuple[list[Op], list[Op], str]:
        """Ops that pack a tensor, ops that unpack it, and the unpacked tensor; each round packs two elements into
        one."""
        tensor = self._tensors[name]
        if _rounds(tensor) == 0:
            return [], [], name
        half = replace(tensor, shape=(1, tensor.elements // 2, 1))
        whole = replace(tensor, shape=(2, tensor.elements // 2, 1))
        levels = _levels(tensor)
        pairs = np.arange(levels**2).reshape(levels, levels) - 128
        packed_type = TensorType(half.shape, "int8", -128, levels**2 - 129, 1.0)
        flat = self._new(f"{name}_flat", whole)
        halves = [self._new(f"{name}_{which}_half", half) for which in ("first", "second")]
        packed = self._new(f"{name}_packed", packed_type)
        inner, outer, kept = self._pack(packed)
        values = np.arange(_BYTE_VALUES).clip(max=levels**2 - 1)
        parts = [self._new(f"{name}_{which}_unpacked", half) for which in ("first", "second")]
        joined = self._new(f"{name}_unpacked_flat", whole)
        restored = self._new(f"{name}_unpacked", tensor)
        packing: list[Op] = [
            Reshape(flat, (name,), flat, ()),
            *(Crop(part, (flat,), part, (), before=(row, 0)) for row, part in enumerate(halves)),
            PairTable(packed, (halves[0], halves[1]), packed, (), table=pairs.astype(np.int8)),
        ]
        tables = (values // levels + tensor.minimum, values % levels + tensor.minimum)
        unpacking: list[Op] = [
            *(
                Table(part, (kept,), part, (), table=table.astype(np.int8))
                for part, table in zip(parts, tables, strict=True)
            ),
            Concatenate(joined, (parts[0], parts[1]), joined, (), axis=0, factors=(1, 1)),
            Reshape(restored, (joined,), restored, ()),
        ]
        return [*packing, *inner], [*outer, *unpacking], restored

    def _new(self, wanted: str, tensor: TensorType) -> str:
        """A name that neither an op nor a tensor has, for an op and its output."""
        name, number = wanted, 2
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        self._tensors[name] = tensor
        return name
