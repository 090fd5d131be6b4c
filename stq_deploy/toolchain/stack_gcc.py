"""The call graph as GCC writes it: a `.ci` file beside each object (`-fcallgraph-info=su,da`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stq_deploy.toolchain.stack_graph import CallGraph
from stq_deploy.toolchain.stack_objects import ObjectCode, count_pushes, reachable_through_pointers, read_object

_SOURCE = re.compile(r'^graph: \{ title: "([^"]+)"')
_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME = re.compile(r"\\n(\d+) bytes \(([a-z,]+)\)")


def read_gcc(objects: Iterable[Path]) -> CallGraph:
    """The joint call graph of `objects`; addresses taken, and what assembly pushes, come from the objects.

    Raises:
        UnboundedStackError: an object's code cannot be read.
    """
    graph = CallGraph()
    codes = []
    for path in objects:
        lines = path.with_suffix(".ci").read_text(encoding="utf-8", errors="replace").splitlines()
        # Equal titles for static functions here and there: the name of the source as GCC was given it.
        source = next((match.group(1) for line in lines if (match := _SOURCE.match(line))), "")
        code = read_object(path, source)
        _add_functions(lines, _weak_titles(code, source), graph)
        count_pushes(graph, code)
        codes.append(code)
    for code in codes:
        graph.places |= code.places
    graph.indirect = reachable_through_pointers(codes)
    return graph


def _weak_titles(code: ObjectCode, source: str) -> dict[str, str]:
    """GCC's title of a weak function, which is that of a static one -> the name by which others call it."""
    return {f"{source}:{name}": name for name in code.functions.values()}


def _add_functions(lines: Iterable[str], weak: Mapping[str, str], graph: CallGraph) -> None:
    """Add a file's functions and calls to `graph`."""
    for line in lines:
        if match := _NODE.match(line):
            title, label = match.groups()
            if frame := _FRAME.search(label):
                graph.frames[weak.get(title, title)] = int(frame.group(1))
                if frame.group(2) == "dynamic":  # "dynamic,bounded" is a bound
                    graph.unbounded.add(weak.get(title, title))
        elif match := _EDGE.match(line):
            caller, callee = (weak.get(title, title) for title in match.groups())
            graph.calls.setdefault(caller, set()).add(callee)
