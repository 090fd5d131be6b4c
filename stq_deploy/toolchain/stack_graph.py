"""Who calls whom, and with how much stack: what the readers give and the analysis takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

INDIRECT_CALL = "__indirect_call"
"""Stands for the callee of a call through a pointer; GCC's own name for it."""


class UnboundedStackError(Exception):
    """There is no bound of the stack; the message says why."""


@dataclass(frozen=True)
class FunctionPlace:
    """The code of a function: an object, and the section in it that has only this function."""

    object: Path
    section: str
    bytes: int


@dataclass
class CallGraph:
    """Functions by title: their name, or `file:name` for those of one file.

    Attributes:
        frames: function -> bytes of stack it takes itself; every function of ours is in it.
        calls: function -> functions it calls.
        unbounded: functions whose frame depends on data.
        indirect: functions that a call through a pointer may reach.
        places: where the code of every function of ours is.
    """

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    unbounded: set[str] = field(default_factory=set)
    indirect: set[str] = field(default_factory=set)
    places: dict[str, FunctionPlace] = field(default_factory=dict)

    def find(self, name: str) -> str:
        """Title of the function `name`, whichever file it is in."""
        if name in self.frames:
            return name
        for title in sorted(self.frames):
            if title.rpartition(":")[2] == name:
                return title
        return name

    def callees(self, function: str) -> set[str]:
        """Functions that `function` may call, through pointers too."""
        called = self.calls.get(function, set())
        return (called - {INDIRECT_CALL}) | self.indirect if INDIRECT_CALL in called else called

    def reachable(self, function: str) -> set[str]:
        """`function`, what it may call, what that may call, and so on."""
        found = {function}
        waiting = [function]
        while waiting:
            new = self.callees(waiting.pop()) - found
            found |= new
            waiting += new
        return found
