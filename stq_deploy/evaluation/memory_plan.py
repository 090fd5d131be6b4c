"""A build's memories: how full each is, what is where and why, and the arena over an inference."""

from __future__ import annotations

from dataclasses import dataclass

from stq_deploy.evaluation.checked_json import Checked

KINDS = ("code", "constants", "activations", "scratch", "stack and variables")
"""The uses of memory, in the order of the charts."""

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


def read_memory_plan(report: object, manifest: object) -> MemoryPlan:
    """From the contents of build.json and manifest.json, which anyone may have written.

    Raises:
        ValueError: they are not of that form; it names the place.
    """
    build, network = Checked(report), Checked(manifest)
    regions = [
        Region(m.at("name").text(), m.at("used_bytes").count(), m.at("bytes").count(least=1), _kinds(m.at("sections")))
        for m in build.at("memories").entries()
    ]
    parts = [
        PlacedPart(
            p.at("group").text(),
            p.at("part").text(),
            p.at("memory").text(),
            p.at("bytes").count(),
            p.at("accesses").count(),
            p.at("reason").text(),
        )
        for p in build.at("placement").entries()
    ]
    layers = list(network.at("layers").entries())
    replaced = {layer.at("output").text(): layer.at("replaces").text_or_none() or "" for layer in layers}
    tensors = [
        ArenaTensor(
            name,
            t.at("arena_offset").count(),
            t.at("bytes").count(),
            t.at("first_layer").count(least=-1),
            t.at("last_layer").count(least=-1),
            replaced.get(name, ""),
        )
        for name, t in network.at("tensors").members()
        if not list(t.at("view_of").entries())
    ]
    arena = Arena(
        network.at("arena_bytes").count(),
        network.at("arena_lower_bound_bytes").count(),
        network.at("order_lower_bound_bytes").count(),
        tuple(layer.at("name").text() for layer in layers),
        tuple(layer.at("scratch_bytes").count() for layer in layers),
        tuple(sorted(tensors, key=lambda t: (t.first, t.offset))),
    )
    return MemoryPlan(tuple(regions), tuple(parts), arena)


def _kinds(sections: Checked) -> tuple[tuple[str, int], ...]:
    sizes = dict.fromkeys(KINDS, 0)
    for section, size in sections.members():
        kind = next((k for start, k in _KIND_OF_SECTION.items() if section.startswith(start)), KINDS[-1])
        sizes[kind] += size.count()
    return tuple((kind, size) for kind, size in sizes.items() if size)
