"""Which functions run during an inference, and how much they are used: code for the memory that runs it fastest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from stq_deploy.program import Program
from stq_deploy.toolchain.stack_graph import CallGraph, FunctionPlace

ROOT = "stq_run_timed"
"""Calls all that an inference runs (`firmware_templates/link/stq_inference.h`)."""
BEFORE_COPYING = "memory_fill"
"""Runs when nothing is copied to its place yet, so what it calls must stay in flash
(`firmware_templates/armv7m/memory_contents.h`)."""


@dataclass(frozen=True)
class HotFunction:
    """A function that runs during an inference.

    Attributes:
        name: in C, or as the compiler calls its own variant of it.
        place: where its code is.
        work: of the kernels that use it, or of all if it is what calls them: multiply-accumulates, or elements where
            there are none.
        layers: how many layers of an inference use it.
    """

    name: str
    place: FunctionPlace
    work: int
    layers: int


def hot_functions(
    graph: CallGraph, kernel_work: Mapping[str, int], kernel_layers: Mapping[str, int]
) -> list[HotFunction]:
    """Every function of ours that runs during an inference.

    Args:
        kernel_work: kernel -> what it computes in an inference.
        kernel_layers: kernel -> how many layers it runs.
    """
    reached_by = {kernel: graph.reachable(kernel) for kernel in kernel_work}
    titles = graph.reachable(ROOT) - graph.reachable(BEFORE_COPYING)
    found = []
    for title in sorted(titles & graph.places.keys()):
        users = [kernel for kernel in kernel_work if title in reached_by[kernel]] or list(kernel_work)
        work = sum(kernel_work[kernel] for kernel in users)
        name, uses = title.rpartition(":")[2], sum(kernel_layers[kernel] for kernel in users)
        found.append(HotFunction(name, graph.places[title], work, uses))
    return found


def kernel_work(program: Program) -> dict[str, int]:
    """Kernel -> multiply-accumulates, or elements where there are none, that its layers compute in an inference."""
    work: dict[str, int] = {}
    for layer in program.layers:
        work[layer.kernel] = work.get(layer.kernel, 0) + max(layer.macs, layer.output.elements)
    return work


def kernel_layers(program: Program) -> dict[str, int]:
    """Kernel -> how many layers of an inference it runs."""
    return dict(Counter(layer.kernel for layer in program.layers))
