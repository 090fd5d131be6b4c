"""The parts of an image that may lie in one memory or another, and how often an inference accesses them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stq_deploy.boards import Board
from stq_deploy.toolchain.elf import Image
from stq_deploy.toolchain.hot_code import HotFunction

ARENA_SECTION = ".stq_arena"
SCRATCH_SECTION = ".stq_scratch"

Group = Literal["arena", "scratch", "weights", "kernels"]


@dataclass(frozen=True)
class Part:
    """A piece of the image that is placed as one.

    Attributes:
        group: the entry of the board's `[placement]` that lists its memories.
        name: what it is, for people.
        bytes: its size.
        accesses: bytes read and written in one inference; of code, multiply-accumulates it is used for.
        inputs: input sections for the linker script, of what start-up copies if it is not in flash.
    """

    group: Group
    name: str
    bytes: int
    accesses: int
    inputs: tuple[str, ...] = ()

    @property
    def density(self) -> float:
        """Accesses per byte: how much a byte of fast memory gains."""
        return self.accesses / self.bytes if self.bytes else 0.0


def find_parts(image: Image, manifest: dict[str, Any], functions: Iterable[HotFunction], folder: Path) -> list[Part]:
    """All parts of an image, from a measuring link of it.

    Args:
        functions: that run during an inference.
        folder: of the project, to which the linker script's file names are relative.
    """
    layers = manifest["layers"]
    parts = [
        Part("arena", "activations", image.section_bytes(ARENA_SECTION), _sum(layers, "activations")),
        Part("scratch", "scratch memory", image.section_bytes(SCRATCH_SECTION), _sum(layers, "scratch")),
    ]
    for layer in layers:
        size = layer["weight_bytes"] + layer["table_bytes"]
        if size:
            inputs = tuple(f"*(.rodata.{name})" for name in layer["constants"])
            parts.append(Part("weights", layer["name"], size, layer["traffic"]["constants"], inputs))
    for function in functions:
        place = function.place
        # Some linkers see the names as they are given, some as absolute paths.
        source = f"*{place.object.relative_to(folder).as_posix()}({place.section})"
        parts.append(Part("kernels", function.name, place.bytes, function.work, (source,)))
    return parts


def candidates(part: Part, board: Board) -> list[str]:
    """Memories that a part may lie in, in order of preference."""
    return list(getattr(board.placement, part.group))


def _sum(layers: list[dict[str, Any]], what: str) -> int:
    return sum(layer["traffic"][what] for layer in layers)
