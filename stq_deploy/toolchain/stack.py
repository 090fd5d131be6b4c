"""Worst-case stack of a board's program, from the call graph and the frames that its compiler states.

The deepest path from the entry point, plus the deepest interrupt on top of it with what the core pushes. An
upper bound: it takes every branch, and counts a caller's frame even where the call is a jump that reuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.targets.boards.model import Stack
from stq_deploy.toolchain.compilers import CompilerFamily
from stq_deploy.toolchain.stack_clang import read_clang
from stq_deploy.toolchain.stack_gcc import read_gcc
from stq_deploy.toolchain.stack_graph import INDIRECT_CALL, CallGraph, UnboundedStackError

LIBRARY_ALLOWANCE_BYTES = 128
"""Bytes for a function without C source and its callees. These are the compiler's own helpers, of which signed 64-bit
division is the deepest (tests/toolchain measures them).
"""

_READERS: dict[CompilerFamily, Callable[[Iterable[Path]], CallGraph]] = {"gcc": read_gcc, "zig": read_clang}


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


def read_call_graph(
    objects: Iterable[Path], family: CompilerFamily, assembly_calls: Mapping[str, Iterable[str]]
) -> CallGraph:
    """The joint call graph of `objects`.

    Args:
        family: of the compiler that made them.
        assembly_calls: calls the compiler does not see, caller -> callees.

    Raises:
        UnboundedStackError: an object's code cannot be read.
    """
    graph = _READERS[family](objects)
    for caller, callees in assembly_calls.items():
        graph.calls.setdefault(graph.find(caller), set()).update(graph.find(name) for name in callees)
    return graph


def analyse(graph: CallGraph, stack: Stack, interrupts: Iterable[str]) -> StackUse:
    """Worst case of a board's program, interrupts and fault handler.

    Args:
        interrupts: functions that handle them; none interrupts another.

    Raises:
        UnboundedStackError: there is recursion, or a frame whose size depends on data.
    """
    walker = _Walker(graph)
    program, path = walker.depth(graph.find(stack.entry))
    handlers = [walker.depth(graph.find(name))[0] for name in interrupts]
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


def call_depth(graph: CallGraph, function: str) -> int:
    """Worst-case stack of a call of `function`, in bytes, without interrupts.

    Raises:
        UnboundedStackError: there is recursion, or a frame whose size depends on data.
    """
    return _Walker(graph).depth(graph.find(function))[0]


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
        self.uses_indirect |= INDIRECT_CALL in self.graph.calls.get(function, ())
        return self.graph.callees(function)


def _short(title: str) -> str:
    return title.rpartition(":")[2]
