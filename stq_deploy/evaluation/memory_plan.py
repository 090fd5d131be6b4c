"""What a build says of its memories: how full each is, what lies where and why, and the arena over an inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

KINDS = ("code", "constants", "activations", "scratch", "stack and variables")
"""What memory is used for, in the order charts show it."""

_KIND_OF_SECTION = {
    ".vectors": "code",
    ".text": "code",
    ".stq_kernels": "code",
    ".rodata": "constants",
    ".stq_weights": "constants",
    ".copies": "constants",
    ".stq_arena": "activations",
    ".stq_scratch": "scratch",
}
"""Section, or how its name begins -> kind; all others are stack and variables."""


@dataclass(frozen=True)
class Region:
    """A memory of the board.

    Attributes:
        used, size: bytes.
        kinds: entry of `KINDS` -> bytes, of those that are there; what is missing to `used` is alignment.
    """

    name: str
    used: int
    size: int
    kinds: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class PlacedPart:
    """A part of the image that could lie in several memories.

    Attributes:
        group: "arena", "scratch", "weights" or "kernels".
        accesses: bytes read and written in an inference; of code, multiply-accumulates it is used for.
        reason: why it is there.
    """

    group: str
    name: str
    memory: str
    bytes: int
    accesses: int
    reason: str


@dataclass(frozen=True)
class ArenaTensor:
    """A stored tensor.

    Attributes:
        offset, bytes: its place in the arena.
        first, last: layers from which to which it must stay intact; -1 is the input's.
        replaces: the tensor whose memory it takes while the first layer runs; "" for none.
    """

    name: str
    offset: int
    bytes: int
    first: int
    last: int
    replaces: str = ""


@dataclass(frozen=True)
class Arena:
    """The memory of the activations over an inference.

    Attributes:
        lower_bound: bytes that no placement goes below with the layers in this order.
        order_lower_bound: the same, whatever their order.
        layers: their names, in the order they run.
        scratch: bytes of scratch memory that each needs beside.
    """

    bytes: int
    lower_bound: int
    order_lower_bound: int
    layers: tuple[str, ...]
    scratch: tuple[int, ...]
    tensors: tuple[ArenaTensor, ...]


@dataclass(frozen=True)
class MemoryPlan:
    """A build's memories."""

    regions: tuple[Region, ...]
    parts: tuple[PlacedPart, ...]
    arena: Arena


def read_memory_plan(report: dict[str, Any], manifest: dict[str, Any]) -> MemoryPlan:
    """From the contents of build.json and manifest.json.

    Raises:
        KeyError, TypeError, ValueError: they are not of that form.
    """
    regions = [Region(str(m["name"]), int(m["used_bytes"]), int(m["bytes"]), _kinds(m)) for m in report["memories"]]
    parts = [
        PlacedPart(
            str(p["group"]), str(p["part"]), str(p["memory"]), int(p["bytes"]), int(p["accesses"]), str(p["reason"])
        )
        for p in report["placement"]
    ]
    layers = manifest["layers"]
    replaced = {str(layer["output"]): str(layer["replaces"] or "") for layer in layers}
    tensors = [
        ArenaTensor(
            str(name),
            int(t["arena_offset"]),
            int(t["bytes"]),
            int(t["first_layer"]),
            int(t["last_layer"]),
            replaced.get(name, ""),
        )
        for name, t in manifest["tensors"].items()
        if not t["view_of"]
    ]
    arena = Arena(
        int(manifest["arena_bytes"]),
        int(manifest["arena_lower_bound_bytes"]),
        int(manifest["order_lower_bound_bytes"]),
        tuple(str(layer["name"]) for layer in layers),
        tuple(int(layer["scratch_bytes"]) for layer in layers),
        tuple(sorted(tensors, key=lambda t: (t.first, t.offset))),
    )
    return MemoryPlan(tuple(regions), tuple(parts), arena)


def _kinds(memory: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    sizes = dict.fromkeys(KINDS, 0)
    for section, size in memory["sections"].items():
        kind = next((k for start, k in _KIND_OF_SECTION.items() if section.startswith(start)), KINDS[-1])
        sizes[kind] += int(size)
    return tuple((kind, size) for kind, size in sizes.items() if size)
