"""The call graph as GCC writes it: a `.ci` file beside each object (`-fcallgraph-info=su,da`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from stq_deploy.toolchain.stack_graph import CallGraph
from stq_deploy.toolchain.stack_objects import reachable_through_pointers, read_object

_SOURCE = re.compile(r'^graph: \{ title: "([^"]+)"')
_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME = re.compile(r"\\n(\d+) bytes \(([a-z,]+)\)")


def read_gcc(objects: Iterable[Path]) -> CallGraph:
    """The joint call graph of `objects`; only the functions whose address is taken come from the objects.

    Raises:
        UnboundedStackError: an object's code cannot be read.
    """
    graph = CallGraph()
    # Equal titles for static functions here and there: the name of the source as GCC was given it.
    codes = [read_object(path, _read_ci(path.with_suffix(".ci"), graph)) for path in objects]
    for code in codes:
        graph.places |= code.places
    graph.indirect = reachable_through_pointers(codes)
    return graph


def _read_ci(path: Path, graph: CallGraph) -> str:
    """Add a file's functions and calls to `graph`; returns the name of its source."""
    source = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _NODE.match(line):
            title, label = match.groups()
            if frame := _FRAME.search(label):
                graph.frames[title] = int(frame.group(1))
                if frame.group(2) == "dynamic":  # "dynamic,bounded" is a bound
                    graph.unbounded.add(title)
        elif match := _EDGE.match(line):
            graph.calls.setdefault(match.group(1), set()).add(match.group(2))
        elif match := _SOURCE.match(line):
            source = match.group(1)
    return source
