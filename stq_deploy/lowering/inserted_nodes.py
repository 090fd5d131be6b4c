"""Puts nodes into a source graph, after others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stq_deploy.frontend import source as s


def insert_nodes(
    source: s.SourceGraph, makers: Mapping[int, Sequence[s.MakeNode]]
) -> tuple[s.SourceGraph, dict[int, int]]:
    """(the graph with new nodes after each of these positions, old position -> the position that readers now read).

    Args:
        makers: position -> what makes the new nodes, first to last; each reads the one before it.
    """
    nodes: list[s.Node] = []
    place: dict[int, int] = {}
    read: dict[int, int] = {}
    for n, node in enumerate(source.nodes):
        place[n] = len(nodes)
        nodes.append(replace(node, inputs=tuple(read[m] for m in node.inputs)))
        for make in makers.get(n, ()):
            nodes.append(make(node.layer, (len(nodes) - 1,), node.shape))
        read[n] = len(nodes) - 1
    graph = replace(
        source,
        nodes=tuple(nodes),
        outputs=tuple(read[n] for n in source.outputs),
        kernels={place[n]: kernel for n, kernel in source.kernels.items()},
        biases={place[n]: bias for n, bias in source.biases.items()},
        floats={place[n]: values for n, values in source.floats.items()},
    )
    return graph, read
