"""Questions about a source graph as a whole: where the logits are, what they depend on, what defines the input."""

from __future__ import annotations

from stq_deploy.frontend import source as s
from stq_deploy.passes.step_function import is_linear, step_function


def find_logits(source: s.SourceGraph) -> tuple[int, list[dict[str, str]]]:
    """The node whose largest value is the class, and the layers after it, which keep the classes' order.

    Those are softmax, sigmoid and tanh; they are left out of the integer network.
    """
    n, dropped = source.outputs[0], list[dict[str, str]]()
    while True:
        node = source.nodes[n]
        rises = isinstance(node, s.FunctionNode) and node.function in ("sigmoid", "tanh")
        if not rises and not isinstance(node, s.SoftmaxNode | s.PassNode):
            return n, dropped
        reason = node.reason if isinstance(node, s.PassNode) else "keeps the order of the logits"
        dropped.insert(0, {"layer": node.layer, "reason": reason})
        n = node.inputs[0]


def find_live(source: s.SourceGraph, logits: int) -> set[int]:
    """The nodes that the logits depend on, and the input."""
    live, waiting = {0}, [logits]
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
    return readers[0] if steps.step == steps.spacing else None
