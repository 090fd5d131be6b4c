"""Puts nodes into a source graph, each after another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from stq_deploy.frontend import source as s


def insert_nodes(
    source: s.SourceGraph, makers: Mapping[int, Callable[[str, tuple[int, ...], tuple[int, ...]], s.Node]]
) -> tuple[s.SourceGraph, dict[int, int]]:
    """(the graph with a new node after each of these positions, old position -> the position that readers now read).

    Args:
        makers: position -> makes the new node, of a layer, inputs and shape.
    """
    nodes: list[s.Node] = []
    place: dict[int, int] = {}
    read: dict[int, int] = {}
    for n, node in enumerate(source.nodes):
        place[n] = len(nodes)
        nodes.append(replace(node, inputs=tuple(read[m] for m in node.inputs)))
        if n in makers:
            nodes.append(makers[n](node.layer, (place[n],), node.shape))
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
