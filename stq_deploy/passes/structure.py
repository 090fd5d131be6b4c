"""Questions about a source graph as a whole: where the logits are, and what they depend on."""

from __future__ import annotations

from dataclasses import dataclass

from stq_deploy.frontend import source as s

_RISING = ("sigmoid", "tanh")


@dataclass(frozen=True)
class Ending:
    """How one output of the model ends.

    Attributes:
        logits: the node whose largest value is the class.
        functions: softmax, sigmoid, tanh: what the model computes of the logits, first to last. They keep the classes'
            order, and are left out of the integer network.
        dropped: layer -> the entry of the network's `dropped`, for the layers after `logits`.
    """

    logits: int
    functions: tuple[str, ...]
    dropped: dict[str, dict[str, str]]


def find_ending(source: s.SourceGraph, n: int) -> Ending:
    """The ending of the output that is node `n`."""
    functions, dropped = tuple[str, ...](), dict[str, dict[str, str]]()
    while True:
        node = source.nodes[n]
        if isinstance(node, s.PassNode):
            reason = node.reason
        elif isinstance(node, s.SoftmaxNode) or (isinstance(node, s.FunctionNode) and node.function in _RISING):
            reason = "keeps the order of the logits"
            functions = ("softmax" if isinstance(node, s.SoftmaxNode) else node.function, *functions)
        else:
            return Ending(n, functions, dropped)
        dropped = {node.layer: {"layer": node.layer, "reason": reason}} | dropped
        n = node.inputs[0]


def find_live(source: s.SourceGraph, outputs: tuple[int, ...]) -> set[int]:
    """The nodes that the outputs depend on, and the input."""
    live, waiting = {0}, list(outputs)
    while waiting:
        n = waiting.pop()
        if n not in live:
            live.add(n)
            waiting += source.nodes[n].inputs
    return live
