"""The parts of an image that may lie in one memory or another, and how often an inference accesses them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stq_deploy.program import Program
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.elf import Image
from stq_deploy.toolchain.hot_code import HotFunction

ARENA_SECTION = ".stq_arena"
SCRATCH_SECTION = ".stq_scratch"

PartGroup = Literal["arena", "scratch", "weights", "kernels"]


@dataclass(frozen=True)
class Part:
    """A piece of the image that is placed as one.

    Attributes:
        group: the entry of the board's `[placement]` that lists its memories.
        name: what it is, for people.
        bytes: its size.
        accesses: bytes read and written in one inference; of code, multiply-accumulates it is used for.
        inputs: input sections for the linker script, of what start-up copies if it is not in flash.
        uses: layers of an inference that use it. A build's report states neither this nor `inputs`.
    """

    group: PartGroup
    name: str
    bytes: int
    accesses: int
    inputs: tuple[str, ...] = field(default=(), compare=False)
    uses: int = field(default=1, compare=False)

    @property
    def density(self) -> float:
        """Accesses per byte: how much a byte of fast memory gains."""
        return self.accesses / self.bytes if self.bytes else 0.0


def find_parts(
    image: Image, program: Program, constants: Sequence[Sequence[str]], functions: Iterable[HotFunction], folder: Path
) -> list[Part]:
    """All parts of an image, from a measuring link of it.

    Args:
        constants: C names of each layer's arrays.
        functions: that run during an inference.
        folder: of the project, to which the linker script's file names are relative.
    """
    traffic = [layer.traffic for layer in program.layers]
    activations, scratch = sum(t.activations for t in traffic), sum(t.scratch for t in traffic)
    within = bool(program.arena.scratch)
    parts = [
        Part(
            "arena",
            "activations and scratch memory" if within else "activations",
            image.section_bytes(ARENA_SECTION),
            activations + (scratch if within else 0),
        ),
        Part("scratch", "scratch memory", image.section_bytes(SCRATCH_SECTION), 0 if within else scratch),
    ]
    for layer, names in zip(program.layers, constants, strict=True):
        if layer.constant_bytes:
            inputs = tuple(f"*(.rodata.{name})" for name in names)
            parts.append(Part("weights", layer.name, layer.constant_bytes, layer.traffic.constants, inputs))
    for function in functions:
        place = function.place
        # Some linkers see the names as they are given, some as absolute paths.
        source = f"*{place.object.relative_to(folder).as_posix()}({place.section})"
        parts.append(Part("kernels", function.name, place.bytes, function.work, (source,), function.layers))
    return parts


def candidates(part: Part, board: Board) -> list[str]:
    """Memories that a part may lie in, in order of preference."""
    return list(getattr(board.placement, part.group))
