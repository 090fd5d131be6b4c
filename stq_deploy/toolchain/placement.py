"""Which memory the arena and the scratch go to, and whether everything fits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stq_deploy.boards import Board, Memory
from stq_deploy.errors import StqError
from stq_deploy.toolchain.elf import Image, Section

ARENA_SECTION = ".stq_arena"
SCRATCH_SECTION = ".stq_scratch"
MEASURING_BYTES = 64 << 20
"""Size that every memory is given for the link that only measures; no firmware overflows it."""
ALIGNMENT = 32
SHOWN_LAYERS = 3


@dataclass(frozen=True)
class Placed:
    """Names of the memories that take arena and scratch."""

    arena: str
    scratch: str


def measuring_bytes(board: Board) -> dict[str, int]:
    """Memory -> size for the measuring link: generous, but up to the next memory at most."""
    origins = sorted(memory.origin for memory in board.memory)
    sizes = {}
    for memory in board.memory:
        above = [origin - memory.origin for origin in origins if origin > memory.origin]
        sizes[memory.name] = min([MEASURING_BYTES, *above])
    return sizes


def used_bytes(sections: Iterable[Section], memory: Memory, size: int) -> int:
    """Bytes from a memory's origin to the end of the last section in it, at run time or when programmed.

    Args:
        size: of the memory in this link.
    """
    end = memory.origin
    for section in sections:
        for address in {section.address, section.load_address}:
            if memory.origin <= address < memory.origin + size:
                end = max(end, address + section.size)
    return end - memory.origin


def place(image: Image, board: Board, manifest: dict[str, Any]) -> Placed:
    """Choose memories for arena and scratch, by the sizes in a measuring link.

    The arena first: it is the larger, and every layer reads and writes it.

    Raises:
        StqError: something does not fit; by how much, where, and the largest layers.
    """
    sizes = measuring_bytes(board)
    fixed = [s for s in image.sections if s.name not in (ARENA_SECTION, SCRATCH_SECTION)]
    free = {m.name: m.bytes - _aligned(used_bytes(fixed, m, sizes[m.name])) for m in board.memory}
    for memory in board.memory:
        used = used_bytes(fixed, memory, sizes[memory.name])
        if used > memory.bytes:
            what = "code and weights" if memory.kind == "flash" else "stack and variables"
            key = "flash" if memory.kind == "flash" else "ram"
            raise _does_not_fit(what, used, memory.bytes, [memory.name], _largest(manifest, key))
    chosen = {}
    for what, section, names in (
        ("the activations (arena)", ARENA_SECTION, board.placement.arena),
        ("the kernels' scratch memory", SCRATCH_SECTION, board.placement.scratch),
    ):
        needed = image.section_bytes(section)
        fitting = [name for name in names if free[name] >= needed]
        if not fitting:
            room = max(free[name] for name in names)
            raise _does_not_fit(what, needed, room, names, _largest(manifest, "ram"))
        chosen[section] = fitting[0]
        free[fitting[0]] -= _aligned(needed)
    return Placed(chosen[ARENA_SECTION], chosen[SCRATCH_SECTION])


def layer_ram_bytes(manifest: dict[str, Any], layer: dict[str, Any]) -> int:
    """Bytes of the arena in use while a layer runs, plus its scratch; a view shares its source's bytes."""
    index = layer["index"]
    live = sorted(
        (t["arena_offset"], t["arena_offset"] + t["bytes"])
        for t in manifest["tensors"].values()
        if t["first_layer"] <= index <= t["last_layer"]
    )
    used = end = 0
    for first, last in live:
        used += max(0, last - max(first, end))
        end = max(end, last)
    return int(used + layer["scratch_bytes"])


def layer_flash_bytes(layer: dict[str, Any]) -> int:
    """Bytes of a layer's weights and tables."""
    return int(layer["weight_bytes"] + layer["table_bytes"])


def _largest(manifest: dict[str, Any], key: str) -> str:
    sized = [
        (layer_flash_bytes(layer) if key == "flash" else layer_ram_bytes(manifest, layer), layer["name"])
        for layer in manifest["layers"]
    ]
    shown = sorted(sized, key=lambda pair: -pair[0])[:SHOWN_LAYERS]
    return ", ".join(f"{name} ({size:,} bytes)" for size, name in shown)


def _does_not_fit(what: str, needed: int, room: int, names: list[str], largest: str) -> StqError:
    return StqError(
        f"the network does not fit: {what} need {needed:,} bytes, {needed - max(room, 0):,} more than"
        f" {' or '.join(names)} has room for ({max(room, 0):,})",
        cause=f"the largest layers are {largest}",
        next="make those layers smaller, quantise them to fewer bits, or choose a board with more memory",
    )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
