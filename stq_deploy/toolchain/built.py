"""A built firmware: what it is of, where everything lies, and what it takes. build.json is written from it alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stq_deploy import __version__
from stq_deploy.codegen.manifest import NAME as MANIFEST_NAME
from stq_deploy.program import Program
from stq_deploy.toolchain.build_folder import FORMAT, IMAGES
from stq_deploy.toolchain.network_alone import NetworkAlone
from stq_deploy.toolchain.placement import Placed, Placement, is_placed_section
from stq_deploy.toolchain.size_figures import SizeFigures, size_figures
from stq_deploy.toolchain.sizes import LayerSize, MemoryUse, layer_sizes, total_bytes
from stq_deploy.toolchain.stack import StackUse

VERSION = 1
ELF, BIN, HEX, MAP = IMAGES
NETWORK_FOLDER = "network"
MANIFEST = f"{NETWORK_FOLDER}/{MANIFEST_NAME}"


@dataclass(frozen=True)
class BuiltFirmware:
    """A built firmware, just built or read from its folder (`former_build`).

    Attributes:
        folder: holds `elf`, `bin`, `hex`, `map`, build.json, and the C project they were made from.
        program: what it runs.
        board: name of the board it is for.
        compiler_family, compiler_version: what built it.
        build_id: hex; the firmware announces it.
        placement: where everything lies that had a choice, and why.
        memories: what it takes, memory by memory.
        alone: what the network takes in a firmware that is not ours.
        kernel_bytes: C name of each kernel that the program calls -> bytes of its code.
        stack: worst case; None if there is no bound, and `stack_reason` says why.
        files: of the folder, the report aside: path within it -> SHA-256 (hex).
    """

    folder: Path
    program: Program
    board: str
    compiler_family: str
    compiler_version: str
    build_id: str
    placement: Placement
    memories: tuple[MemoryUse, ...]
    alone: NetworkAlone
    kernel_bytes: dict[str, int]
    stack: StackUse | None
    stack_reason: str
    files: dict[str, str]

    def __repr__(self) -> str:
        stack = "no bound" if self.stack_bytes is None else f"{self.stack_bytes:,}"
        return (
            f"<BuiltFirmware for {self.board} in {str(self.folder)!r}: flash {self.flash_bytes:,}, "
            f"RAM {self.ram_bytes:,}, stack {stack} bytes>"
        )

    @property
    def elf(self) -> Path:
        return self.folder / ELF

    @property
    def bin(self) -> Path:
        return self.folder / BIN

    @property
    def hex(self) -> Path:
        return self.folder / HEX

    @property
    def map(self) -> Path:
        return self.folder / MAP

    @property
    def manifest(self) -> Path:
        return self.folder / MANIFEST

    @property
    def model_hash(self) -> str:
        """Hex, of the network."""
        return self.program.network.sha256()

    @property
    def layers(self) -> list[LayerSize]:
        """What each layer takes, in the order they run."""
        return layer_sizes(self.program, self.kernel_bytes)

    @property
    def flash_bytes(self) -> int:
        return total_bytes(self.memories, "flash")

    @property
    def ram_bytes(self) -> int:
        return total_bytes(self.memories, "ram")

    @property
    def stack_bytes(self) -> int | None:
        """Worst case of the program's stack; None if there is no bound."""
        return self.stack.bytes if self.stack else None

    @property
    def figures(self) -> SizeFigures:
        """The network's size by each convention."""
        return size_figures(self.program, self.flash_bytes)

    @property
    def copied_bytes(self) -> int:
        """Bytes of RAM that hold copies of what is in flash too: code and constants in faster memory."""
        ram = [use for use in self.memories if use.kind == "ram"]
        return sum(size for use in ram for name, size in use.sections.items() if is_placed_section(name))

    def to_json(self) -> dict[str, Any]:
        """The content of build.json: no dates and no paths of this machine."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "tool_version": __version__,
            "board": self.board,
            "build_id": self.build_id,
            "model_hash": self.model_hash,
            "compiler": {"family": self.compiler_family, "version": self.compiler_version},
            "flash_bytes": self.flash_bytes,
            "network_alone": dataclasses.asdict(self.alone),
            "size_figures": dataclasses.asdict(self.figures),
            "ram_bytes": self.ram_bytes,
            "ram_copies_bytes": self.copied_bytes,
            "stack_bytes": self.stack_bytes,
            "stack": dataclasses.asdict(self.stack) if self.stack else {"unbounded": self.stack_reason},
            "macs": self.program.macs,
            "placement": [_placed_to_json(one) for one in self.placement.placed],
            "memories": [dataclasses.asdict(use) for use in self.memories],
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
            "files": self.files,
        }


def _placed_to_json(one: Placed) -> dict[str, Any]:
    part = one.part
    return {
        "group": part.group,
        "part": part.name,
        "memory": one.memory,
        "bytes": part.bytes,
        "accesses": part.accesses,
        "reason": one.reason,
    }
