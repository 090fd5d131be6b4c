"""Worst-case stack from the call graphs that GCC writes (`-fcallgraph-info=su,da`).

The deepest path from the entry point, plus the deepest interrupt on top of it with what the core pushes. An
upper bound: it takes every branch, and counts a caller's frame even where the call is a jump that reuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from stq_deploy.boards.model import Stack

INDIRECT_CALL = "__indirect_call"
LIBRARY_ALLOWANCE_BYTES = 64
"""Counted for a function without C source (the compiler's own helpers, such as 64-bit division)."""

_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME = re.compile(r"\\n(\d+) bytes \(([a-z,]+)\)")
_ADDRESS_RELOCATIONS = frozenset({2, 3, 38, 43, 44, 47, 48})
"""ELF for the Arm architecture: ABS32, REL32, TARGET1, MOVW and MOVT. Calls and jumps have others."""


class UnboundedStackError(Exception):
    """The call graph has no bound; the message says why."""


@dataclass
class CallGraph:
    """Functions by title: their name, or `file:name` for those of one file.

    Attributes:
        frames: function -> bytes of stack it takes itself.
        calls: function -> functions it calls.
        unbounded: functions whose frame depends on data.
        indirect: functions that a call through a pointer may reach.
    """

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    unbounded: set[str] = field(default_factory=set)
    indirect: set[str] = field(default_factory=set)

    def find(self, name: str) -> str:
        """Title of the function `name`, whichever file it is in."""
        if name in self.frames:
            return name
        for title in sorted(self.frames):
            if title.rpartition(":")[2] == name:
                return title
        return name


@dataclass(frozen=True)
class StackUse:
    """Result of the analysis, in bytes.

    Attributes:
        bytes: `program_bytes` plus `interrupt_bytes`.
        path: functions on the deepest path of the program.
        interrupt_bytes: of the deepest interrupt, with the core's frame.
        fault_bytes: of the fault handler, which has a stack of its own.
        assumptions: what the figure rests on.
    """

    bytes: int
    program_bytes: int
    path: tuple[str, ...]
    interrupt_bytes: int
    fault_bytes: int
    assumptions: tuple[str, ...]


def read_call_graph(objects: Iterable[Path], assembly_calls: dict[str, list[str]]) -> CallGraph:
    """The joint call graph of `objects`, from the `.ci` file beside each.

    Args:
        assembly_calls: calls the compiler does not see, caller -> callees.
    """
    graph = CallGraph()
    address_taken: set[str] = set()
    for path in objects:
        _read_ci(path.with_suffix(".ci"), graph)
        address_taken |= _functions_with_address_taken(path)
    graph.indirect = {graph.find(name) for name in address_taken}
    for caller, callees in assembly_calls.items():
        graph.calls.setdefault(graph.find(caller), set()).update(graph.find(name) for name in callees)
    return graph


def analyse(graph: CallGraph, stack: Stack) -> StackUse:
    """Worst case of a board's program, interrupts and fault handler.

    Raises:
        UnboundedStackError: there is recursion, or a frame whose size depends on data.
    """
    walker = _Walker(graph)
    program, path = walker.depth(graph.find(stack.entry))
    handlers = [walker.depth(graph.find(name))[0] for name in stack.interrupts]
    interrupt = max(handlers) + stack.interrupt_frame_bytes if handlers else 0
    fault, _ = walker.depth(graph.find(stack.fault_entry))
    assumptions = ["one interrupt at a time"]
    if walker.library:
        names = ", ".join(sorted(walker.library))
        assumptions.append(f"{LIBRARY_ALLOWANCE_BYTES} bytes for each of {names} (no source)")
    if walker.uses_indirect:
        names = ", ".join(sorted(_short(title) for title in graph.indirect))
        assumptions.append(f"calls through pointers reach one of {names}")
    return StackUse(
        program + interrupt,
        program,
        tuple(_short(title) for title in path),
        interrupt,
        fault,
        tuple(assumptions),
    )


class _Walker:
    """Deepest path from a function, remembered per function."""

    def __init__(self, graph: CallGraph) -> None:
        self.graph = graph
        self.library: set[str] = set()
        self.uses_indirect = False
        self._known: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._active: list[str] = []

    def depth(self, function: str) -> tuple[int, tuple[str, ...]]:
        if function in self._known:
            return self._known[function]
        if function in self._active:
            cycle = [*self._active[self._active.index(function) :], function]
            raise UnboundedStackError(f"recursion: {' -> '.join(map(_short, cycle))}")
        if function in self.graph.unbounded:
            raise UnboundedStackError(f"the frame of {_short(function)} depends on data")
        self._active.append(function)
        frame = self.graph.frames.get(function)
        if frame is None:
            self.library.add(function)
            frame = LIBRARY_ALLOWANCE_BYTES
        deepest: tuple[int, tuple[str, ...]] = (0, ())
        for callee in sorted(self._callees(function)):
            deepest = max(deepest, self.depth(callee), key=lambda found: found[0])
        self._active.pop()
        self._known[function] = (frame + deepest[0], (function, *deepest[1]))
        return self._known[function]

    def _callees(self, function: str) -> set[str]:
        callees = set(self.graph.calls.get(function, ()))
        if INDIRECT_CALL in callees:
            self.uses_indirect = True
            callees = (callees - {INDIRECT_CALL}) | self.graph.indirect
        return callees


def _read_ci(path: Path, graph: CallGraph) -> None:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _NODE.match(line):
            title, label = match.groups()
            if frame := _FRAME.search(label):
                graph.frames[title] = int(frame.group(1))
                if frame.group(2) == "dynamic":  # "dynamic,bounded" is a bound
                    graph.unbounded.add(title)
        elif match := _EDGE.match(line):
            graph.calls.setdefault(match.group(1), set()).add(match.group(2))


def _functions_with_address_taken(path: Path) -> set[str]:
    """Names of functions whose address the object stores somewhere, its vector table apart."""
    names: set[str] = set()
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = elf.get_section_by_name(".symtab")
        if not isinstance(symbols, SymbolTableSection):
            return names
        for section in elf.iter_sections():
            if not isinstance(section, RelocationSection):
                continue
            target = elf.get_section(section.header.sh_info).name
            if target.startswith((".debug", ".vectors", ".ARM")):
                continue
            for relocation in section.iter_relocations():
                if relocation["r_info_type"] not in _ADDRESS_RELOCATIONS:
                    continue
                symbol = symbols.get_symbol(relocation["r_info_sym"])
                kind = symbol.entry.st_info.type
                if kind == "STT_FUNC":
                    names.add(symbol.name)
                elif kind == "STT_SECTION":
                    place = elf.get_section(symbol.entry.st_shndx).name
                    if place.startswith(".text."):  # -ffunction-sections: a section is a function
                        names.add(place.removeprefix(".text."))
                elif kind == "STT_NOTYPE" and symbol.entry.st_shndx == "SHN_UNDEF":
                    names.add(symbol.name)
    return names


def _short(title: str) -> str:
    return title.rpartition(":")[2]
