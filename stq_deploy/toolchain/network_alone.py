"""What a network adds to a firmware that is not ours: a link of its own files alone."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from stq_deploy.program import Program
from stq_deploy.toolchain.compile import OBJECTS, Builder
from stq_deploy.toolchain.elf import read_image
from stq_deploy.toolchain.stack import call_depth
from stq_deploy.toolchain.stack_graph import CallGraph, UnboundedStackError

_FOLDERS = ("network/", "kernels/", "runtime/")
"""Folders that somebody copies into another project, and the memory functions that most projects have already."""
_SCRIPT = """\
EXTERN({name}_static {name}_input {name}_output)
SECTIONS
{{
    .text : {{ *(.text .text.*) }}
    .rodata : {{ *(.rodata .rodata.*) }}
    .data : {{ *(.data .data.*) }}
    .bss : {{ *(.bss .bss.* COMMON) }}
    /DISCARD/ : {{ *(.ARM.exidx* .ARM.extab*) }}
}}
"""


@dataclass(frozen=True)
class NetworkAlone:
    """Bytes that a network takes in a program that calls `NAME_input`, `NAME_run` and `NAME_output`.

    Attributes:
        flash_bytes: code, weights and tables.
        ram_bytes: arena and scratch memory, with what alignment adds.
        arena_bytes, scratch_bytes: the two of them; the arena may hold the scratch memory.
        stack_bytes: worst case of `NAME_run`; None if there is no bound.
    """

    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    scratch_bytes: int
    stack_bytes: int | None


def measure_alone(
    builder: Builder, objects: Iterable[str], name: str, program: Program, graph: CallGraph | None
) -> NetworkAlone:
    """Link the network without link, start-up and board, and measure the result.

    Args:
        objects: of the whole project, relative to its folder.
        name: of the network in C.
        graph: None if there is none.

    Raises:
        StqError: the files do not link.
    """
    folder = builder.project.folder
    script, elf = f"{OBJECTS}/alone.ld", f"{OBJECTS}/alone.elf"
    (folder / script).write_text(_SCRIPT.format(name=name))
    own = [path for path in objects if path.removeprefix(f"{OBJECTS}/").startswith(_FOLDERS)]
    builder.link(own, elf, f"{OBJECTS}/alone.map", script=script, entry=f"{name}_run")
    sections = read_image(folder / elf).sections
    programmed = sum(section.size for section in sections if section.content is not None)
    zeroed = sum(section.size for section in sections if section.content is None)
    stack = None
    if graph is not None:
        with suppress(UnboundedStackError):
            stack = call_depth(graph, f"{name}_run")
    return NetworkAlone(programmed, zeroed, program.arena.bytes, program.separate_scratch_bytes, stack)
