"""The image's size, by memory and by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stq_deploy.program import Program
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.elf import Image
from stq_deploy.toolchain.placement import extents, used_bytes


@dataclass(frozen=True)
class MemoryUse:
    """A memory of the board.

    Attributes:
        used_bytes: from its origin (a guarded one's contents) to the end of the last section.
        sections: section -> bytes.
    """

    name: str
    kind: str
    origin: int
    bytes: int
    used_bytes: int
    sections: dict[str, int]


@dataclass(frozen=True)
class LayerSize:
    """A layer of the network.

    Attributes:
        weight_bytes, table_bytes: its constants in flash.
        kernel_bytes: code of its kernel, which other layers may share.
        ram_bytes: tensors in use while it runs, plus its scratch.
        macs: multiply-accumulates per inference.
    """

    name: str
    op: str
    kernel: str
    macs: int
    weight_bytes: int
    table_bytes: int
    kernel_bytes: int
    ram_bytes: int


def memory_use(image: Image, board: Board) -> tuple[MemoryUse, ...]:
    """Use of every memory."""
    found = []
    for memory in board.memory:
        used = used_bytes(image.sections, memory, memory.bytes)
        parts = {s.name: extents(s, memory.origin, memory.end) for s in image.sections}
        sections = {name: last - first for name, found_there in parts.items() for first, last in found_there}
        found.append(MemoryUse(memory.name, memory.kind, memory.origin, memory.bytes, used, sections))
    return tuple(found)


def total_bytes(uses: Iterable[MemoryUse], kind: str) -> int:
    """Bytes used in all memories of a kind: "flash" or "ram" (which counts the whole reserved stack)."""
    return sum(use.used_bytes for use in uses if use.kind == kind)


def layer_sizes(program: Program, kernel_bytes: Mapping[str, int]) -> list[LayerSize]:
    """Size of every layer.

    Args:
        kernel_bytes: C name of each kernel -> bytes of its code.
    """
    return [
        LayerSize(
            name=layer.name,
            op=layer.op.kind,
            kernel=layer.kernel,
            macs=layer.macs,
            weight_bytes=layer.weight_bytes,
            table_bytes=layer.table_bytes,
            kernel_bytes=kernel_bytes[layer.kernel],
            ram_bytes=program.ram_bytes(layer),
        )
        for layer in program.layers
    ]
