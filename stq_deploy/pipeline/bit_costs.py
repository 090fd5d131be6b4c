"""What the bits of each layer's weights cost on the device: bytes of flash, or estimated cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stq_deploy.frontend.source import DepthwiseNode, SourceGraph
from stq_deploy.lowering.after_training.few_bits import few_bit_kernel
from stq_deploy.lowering.after_training.method import WIDTHS
from stq_deploy.network.ops import Op, WeightedOp
from stq_deploy.network.weight_facts import LayerBits
from stq_deploy.pipeline.options import CostBudget
from stq_deploy.program import Optimization, Program
from stq_deploy.program.kernels.choice import choose
from stq_deploy.program.kernels.spec import KernelSpec
from stq_deploy.program.kernels.work import Work


def program_cost(program: Program, budget: CostBudget) -> int:
    """What a program takes of a budget: bytes of weights and tables, or estimated cycles of one inference."""
    return sum(_cost(layer.spec, layer.work, budget) for layer in program.layers)


def bit_costs(
    program: Program, graph: SourceGraph, budget: CostBudget, optimize: Optimization
) -> tuple[int, dict[int, dict[int, float]]]:
    """(what all else costs, position in `graph` of each layer with floating-point weights -> bits -> cost).

    Args:
        program: of the network that was made of `graph`, with the kernels of `graph` itself.
        optimize: what kernels are chosen for.
    """
    place = {id(graph.kernels[n].integers): n for n in graph.floats}
    costs: dict[int, dict[int, float]] = {}
    rest = 0
    for layer in program.layers:
        op = layer.op
        n = place.get(id(op.weights)) if isinstance(op, WeightedOp) else None
        if n is None or not isinstance(op, WeightedOp):
            rest += _cost(layer.spec, layer.work, budget)
            continue
        depthwise = isinstance(graph.nodes[n], DepthwiseNode)
        costs[n] = {}
        for bits in WIDTHS:
            kernel = few_bit_kernel(graph.floats[n], depthwise, bits)
            work = Work[Op](replace(op, weights=kernel.integers, weight_bits=bits), layer.inputs, layer.output)
            chosen = choose(work, optimize=optimize)
            costs[n][bits] = _cost(chosen.spec, work, budget)
    return rest, costs


def _cost(spec: KernelSpec[Op], work: Work[Op], budget: CostBudget) -> int:
    if budget.kind == "cycles":
        return spec.cycles(work)
    return spec.weight_bytes(work) + spec.table_bytes(work)


def layer_bits(graph: SourceGraph, bits: Mapping[int, int]) -> tuple[LayerBits, ...]:
    """Rows of layer and bits, for the network's metadata."""
    return tuple(LayerBits(graph.nodes[n].layer, bits[n]) for n in sorted(bits))
