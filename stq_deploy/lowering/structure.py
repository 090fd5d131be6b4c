"""Queries about a whole source graph: where the logits are, and which nodes they depend on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from stq_deploy.frontend import source as s
from stq_deploy.network.metadata import DroppedLayer
from stq_deploy.network.output import LastStep

_RISING = ("sigmoid", "tanh")
_HALF = Fraction(1, 2)


class HasNodes(Protocol):
    """A model's nodes, with integer weights (`SourceGraph`) or without (`ParsedModel`)."""

    @property
    def nodes(self) -> tuple[s.Node, ...]:
        """As in `SourceGraph`."""
        ...


@dataclass(frozen=True)
class Ending:
    """How one output of the model ends.

    Attributes:
        logits: the node whose largest value is the class.
        functions: softmax, sigmoid, tanh that the model applies to the logits, first to last. They keep the classes'
            order, and are left out of the integer network.
        dropped: layer -> the entry of the network's `dropped`, for the layers after `logits`.
    """

    logits: int
    functions: tuple[str, ...]
    dropped: dict[str, DroppedLayer]


def find_ending(source: HasNodes, n: int) -> Ending:
    """The ending of the output that is node `n`."""
    functions, dropped = tuple[str, ...](), dict[str, DroppedLayer]()
    last = n
    while True:
        node = source.nodes[n]
        if isinstance(node, s.PassNode):
            reason = node.reason
        elif isinstance(node, s.SoftmaxNode) or (isinstance(node, s.FunctionNode) and node.function in _RISING):
            reason = "keeps the order of the logits"
            functions = ("softmax" if isinstance(node, s.SoftmaxNode) else node.function, *functions)
        elif functions and not _is_computed(source, n):
            return Ending(last, (), {})  # without its functions the network would compute nothing
        else:
            return Ending(n, functions, dropped)
        dropped = {node.layer: DroppedLayer(node.layer, reason)} | dropped
        n = node.inputs[0]


def _is_computed(source: HasNodes, n: int) -> bool:
    """Whether node `n` is more than the model's input, rounded or under another shape."""
    node = source.nodes[n]
    while isinstance(node, s.PassNode | s.ReshapeNode | s.QuantizeNode):
        node = source.nodes[node.inputs[0]]
    return not isinstance(node, s.InputNode)


def find_last_step(source: HasNodes, n: int) -> LastStep:
    """The model's last function before the output at node `n`, as far as it says how to read the output.

    The search passes quantizers, reshapes and layers without effect.
    """
    node = source.nodes[n]
    if isinstance(node, s.PassNode | s.ReshapeNode):
        return find_last_step(source, node.inputs[0])
    if isinstance(node, s.SoftmaxNode):
        return LastStep.SOFTMAX
    if isinstance(node, s.FunctionNode):
        return LastStep(node.function) if node.function in _RISING else LastStep.LINEAR
    if isinstance(node, s.IntegerTableNode) and node.function:
        return LastStep(node.function)
    if isinstance(node, s.ClipNode):
        return _clipped(source, node)
    if isinstance(node, s.QuantizeNode):
        return _quantized(source, node)
    return LastStep.LINEAR


def _quantized(source: HasNodes, node: s.QuantizeNode) -> LastStep:
    quantizer = node.quantizer
    if quantizer.name in ("quantized_sigmoid", "quantized_tanh"):
        return LastStep(quantizer.name.removeprefix("quantized_"))
    if quantizer.name == "binary":
        return LastStep.SIGMOID if quantizer.flag("use_01") else LastStep.SIGN
    before = source.nodes[node.inputs[0]]
    if isinstance(before, s.AffineNode) and set(before.offset) == {_HALF}:
        return LastStep.SIGMOID  # a hard sigmoid, whose clip is the quantizer's own
    if isinstance(before, s.QuantizeNode | s.FunctionNode | s.SoftmaxNode | s.ClipNode | s.PassNode | s.ReshapeNode):
        return find_last_step(source, node.inputs[0])
    return LastStep.LINEAR


def _clipped(source: HasNodes, node: s.ClipNode) -> LastStep:
    """Keras's and QKeras's hard sigmoids are a line with 1/2 at 0, clipped to 0 .. 1."""
    before = source.nodes[node.inputs[0]]
    rises = isinstance(before, s.AffineNode) and set(before.offset) == {_HALF}
    return LastStep.SIGMOID if rises else LastStep.LINEAR


def find_live(source: HasNodes, outputs: tuple[int, ...]) -> set[int]:
    """The nodes that the outputs depend on, and the input."""
    live, waiting = {0}, list(outputs)
    while waiting:
        n = waiting.pop()
        if n not in live:
            live.add(n)
            waiting += source.nodes[n].inputs
    return live
