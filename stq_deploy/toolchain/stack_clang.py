"""The call graph from what clang leaves in the objects: frames in `.stack_sizes`, calls in relocations.

`-fstack-size-section` writes, for each function whose frame has a fixed size, its address and that size as ULEB128
(LLVM, "Emitting function stack size information"). The section is not loaded, so the image is the same without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from stq_deploy.toolchain.stack_graph import CallGraph
from stq_deploy.toolchain.stack_objects import (
    add_calls,
    count_pushes,
    reachable_through_pointers,
    read_object,
    symbols_of,
)

STACK_SIZES = ".stack_sizes"
_ADDRESS_BYTES = 4
_ALIGNED_SUFFIXES = ("", "4", "8")
_MEMORY_HELPERS = {
    f"__aeabi_{name}{suffix}": ours
    for name, ours in {"memcpy": "memcpy", "memmove": "memmove", "memset": "memset", "memclr": "memset"}.items()
    for suffix in _ALIGNED_SUFFIXES
}
"""Run-time ABI for the Arm architecture, 5.3.4: clang calls these, and its library passes them on to C's functions."""


def read_clang(objects: Iterable[Path]) -> CallGraph:
    """The joint call graph of `objects`.

    A function of theirs without a stated frame has one that depends on data (alloca, an array of variable size); so
    has one that aligns its frame when it runs, for which clang states the size before the alignment.

    Raises:
        UnboundedStackError: an object's code cannot be read.
    """
    graph = CallGraph()
    codes = []
    for path in objects:
        code = read_object(path, path.as_posix())
        codes.append(code)
        add_calls(graph, code)
        graph.places |= code.places
        stated = _stated_frames(path)
        for section, function in code.functions.items():
            graph.frames[function] = stated.get(section, 0)
            if section not in stated or (stated[section] and function in code.moves_stack):
                graph.unbounded.add(function)
        count_pushes(graph, code)
    graph.indirect = reachable_through_pointers(codes)
    for helper in _MEMORY_HELPERS.keys() & set[str]().union(*graph.calls.values()):
        graph.calls[helper] = {_MEMORY_HELPERS[helper]}
    return graph


def _stated_frames(path: Path) -> dict[int, int]:
    """Index of a function's section -> bytes of its frame."""
    frames: dict[int, int] = {}
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = symbols_of(elf)
        for relocations in elf.iter_sections():
            if not isinstance(relocations, RelocationSection):
                continue
            section = elf.get_section(relocations.header.sh_info)
            if section.name != STACK_SIZES:
                continue
            content = section.data()
            for relocation in relocations.iter_relocations():  # one for each entry
                place = symbols[relocation["r_info_sym"]].entry.st_shndx
                frames[place] = _uleb128(content, relocation["r_offset"] + _ADDRESS_BYTES)
    return frames


def _uleb128(content: bytes, position: int) -> int:
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        position, shift = position + 1, shift + 7
