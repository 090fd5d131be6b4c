"""Shows the result of a step of the pipeline as a table, such as the one that `print` shows for a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stq_deploy.common.errors import StqError, no_such, printable
from stq_deploy.common.text_table import text_table
from stq_deploy.frontend.source import Node, QuantizeNode, SourceGraph
from stq_deploy.network import Network
from stq_deploy.network.summary import count_text, op_rows, op_text, shape_text
from stq_deploy.pipeline.steps import ONLY_MODELS, STEPS, DecidedModel, QuantizedGraph
from stq_deploy.program import Program

Between = SourceGraph | QuantizedGraph | DecidedModel | Network | Program
"""The result of a step."""


def step_names() -> list[str]:
    """Names of all steps, in their order."""
    return [step.name for step in STEPS]


def _show_nothing(step: str, text: str) -> None:
    """The listener of a pipeline whose steps are not shown."""


@dataclass(frozen=True)
class Watch:
    """Steps whose results the pipeline shows.

    Attributes:
        steps: their names.
        show: called with the step's name and a table of several lines. Names in it are made printable.

    Raises:
        StqError: there is no such step; the error lists the steps.
    """

    steps: tuple[str, ...] = ()
    show: Callable[[str, str], None] = _show_nothing

    def __post_init__(self) -> None:
        for name in self.steps:
            if name not in step_names():
                raise no_such(f"the pipeline has no step {name!r}", name, step_names())

    def wants(self, step: str) -> bool:
        """Whether something is shown after a step."""
        return step in self.steps

    def seen(self, step: str, value: Between) -> None:
        """Show the result of a step, if the step is among `steps`."""
        if self.wants(step):
            self.show(step, between_text(value))

    def check_runs_on_networks(self) -> None:
        """Raises StqError if a step is watched that does not run on a .stq network."""
        for step in ONLY_MODELS:
            if self.wants(step.name):
                others = ", ".join(name for name in step_names() if name not in [one.name for one in ONLY_MODELS])
                raise StqError(
                    f"the step {step.name!r} does not run: the network is converted already",
                    next=f"give the Keras model it was made from, or a step that runs: {others}",
                )


def between_text(value: Between) -> str:
    """A table of several lines: a row for each node, decision, op or layer."""
    if isinstance(value, QuantizedGraph):
        return _graph_text(value.graph)
    if isinstance(value, SourceGraph):
        return _graph_text(value)
    if isinstance(value, DecidedModel):
        return str(value.decisions)
    return op_text(op_rows(value)) if isinstance(value, Network) else _program_text(value)


def _graph_text(graph: SourceGraph) -> str:
    head = ("node", "layer", "kind", "reads", "output", "bits", "quantizer")
    rows = [(str(n), *_node_cells(graph, n, node)) for n, node in enumerate(graph.nodes)]
    return text_table([head, *rows], right=(0, 5))


def _node_cells(graph: SourceGraph, n: int, node: Node) -> tuple[str, ...]:
    kernel = graph.kernels.get(n)
    return (
        printable(node.layer),
        type(node).__name__.removesuffix("Node").lower(),
        " ".join(map(str, node.inputs)),
        shape_text(node.shape),
        "" if kernel is None else str(kernel.bits),
        printable(str(node.quantizer)) if isinstance(node, QuantizeNode) else "",
    )


def _program_text(program: Program) -> str:
    head = ("layer", "kernel", "output", "at", "bytes", "in place of", "scratch", "weights", "tables", "MACs")
    rows = [
        (
            printable(layer.name),
            layer.kernel,
            shape_text(layer.output.shape),
            f"{program.offset(layer.op.output):,}",
            f"{layer.output.bytes:,}",
            printable(program.replaces(layer) or ""),
            count_text(layer.scratch_bytes),
            count_text(layer.weight_bytes),
            count_text(layer.table_bytes),
            count_text(layer.macs),
        )
        for layer in program.layers
    ]
    total = (
        "total", "", "", "", f"{program.arena.bytes:,}", "", count_text(program.scratch_bytes),
        count_text(program.weight_bytes), count_text(program.table_bytes), count_text(program.macs),
    )  # fmt: skip
    return text_table([head, *rows, total], right=(3, 4, 6, 7, 8, 9))
