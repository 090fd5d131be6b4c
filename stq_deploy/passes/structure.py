"""Questions about a source graph as a whole: where the logits are, what they depend on, what defines the input."""

from __future__ import annotations

from stq_deploy.frontend import source as s
from stq_deploy.passes.step_function import is_linear, step_function


def find_logits(source: s.SourceGraph) -> tuple[tuple[int, ...], list[dict[str, str]]]:
    """For each output the node whose largest value is the class, and the layers after those nodes.

    These are softmax, sigmoid and tanh, which keep the classes' order; they are left out of the integer network.
    """
    found = [_before_last_activation(source, n) for n in source.outputs]
    dropped = {entry["layer"]: entry for _, entries in found for entry in entries}
    return tuple(n for n, _ in found), list(dropped.values())


def _before_last_activation(source: s.SourceGraph, n: int) -> tuple[int, list[dict[str, str]]]:
    dropped = list[dict[str, str]]()
    while True:
        node = source.nodes[n]
        rises = isinstance(node, s.FunctionNode) and node.function in ("sigmoid", "tanh")
        if not rises and not isinstance(node, s.SoftmaxNode | s.PassNode):
            return n, dropped
        reason = node.reason if isinstance(node, s.PassNode) else "keeps the order of the logits"
        dropped.insert(0, {"layer": node.layer, "reason": reason})
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


def find_input_quantizer(source: s.SourceGraph, live: set[int]) -> int | None:
    """The quantizer that defines the input's levels: the input's only reader, if all it does is round and clip."""
    readers = [n for n in sorted(live) if 0 in source.nodes[n].inputs]
    node = source.nodes[readers[0]] if len(readers) == 1 else None
    if not isinstance(node, s.QuantizeNode) or not is_linear(node.quantizer):
        return None
    steps = step_function(node.quantizer)
    return readers[0] if steps.step == steps.spacing and steps.dtype == "int8" else None
