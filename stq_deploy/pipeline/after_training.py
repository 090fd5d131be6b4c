"""Post-training quantization from a floating-point graph to one with levels and few-bit weights everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, stage
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.frontend.source import SourceGraph
from stq_deploy.lowering.after_training.choose_bits import choose_bits, least_cost
from stq_deploy.lowering.after_training.equalize import equalize
from stq_deploy.lowering.after_training.method import WIDTHS, WeightMethod, usual_method
from stq_deploy.lowering.after_training.sensitivity import measure_sensitivity
from stq_deploy.lowering.after_training.weights import choose_weights, few_bit_weights, few_samples, with_biases
from stq_deploy.lowering.post_training import check_samples, find_quantizers, insert_quantizers, with_stored_floats
from stq_deploy.network.input_format import Values
from stq_deploy.network.weight_facts import KeptBudget, WeightFacts
from stq_deploy.pipeline.bit_costs import bit_costs, layer_bits, program_cost
from stq_deploy.pipeline.options import CostBudget, PostTraining
from stq_deploy.program import Optimization, Program

_SENSITIVITY_SAMPLES = 64
_UNIFORM = {"int8": 8, "int4": 4}
_ATTEMPTS = 4


def quantize_after_training(
    graph: SourceGraph,
    values: Values,
    asked: PostTraining,
    grid: Quantizer | None,
    optimize: Optimization,
    plan: Callable[[SourceGraph], Program],
    progress: Progress,
) -> tuple[SourceGraph, WeightFacts | None]:
    """(the graph with quantizers and few-bit weights, facts about the weights for the network's metadata).

    Args:
        values: calibration samples (N, *input shape), float32, as the model sees them.
        grid: as for `find_quantizers`.
        optimize: what kernels are chosen for, which decides what bits cost.
        plan: all later steps, to the program of a quantized graph.

    Raises:
        StqError: as `find_quantizers`; or no choice of bits keeps the budget.
    """
    check_samples(graph, values)
    method = asked.weight_method
    unchanged = asked.scheme == "int8" and method == usual_method(asked.scheme)
    if not unchanged:
        graph = with_stored_floats(graph)
    with stage(progress, "calibrating"):
        if method.equalize:
            graph = equalize(graph, few_samples(graph, values))
        if method.correct:
            graph = with_biases(graph)
        quantizers = find_quantizers(graph, values, asked.method, grid)
    made = _FewBitModel(graph, values, asked, quantizers, progress)
    if asked.budget is None:
        facts = None if unchanged else _facts(method)
        return made.with_bits(dict.fromkeys(graph.floats, _UNIFORM[asked.scheme])), facts
    bits, reached = _bits_in_budget(made, asked.budget, optimize, plan)
    kept = KeptBudget(asked.budget.kind, asked.budget.limit, reached)
    return made.with_bits(bits), replace(_facts(method), budget=kept, bits=layer_bits(graph, bits))


def _facts(method: WeightMethod) -> WeightFacts:
    return WeightFacts(method.equalize, method.correct, "adaptive" if method.adaptive else "nearest")


class _FewBitModel:
    """A graph whose activations have quantizers, for any choice of bits of its weights.

    Attributes:
        graph: without the quantizers.
    """

    def __init__(
        self,
        graph: SourceGraph,
        values: Values,
        asked: PostTraining,
        quantizers: dict[int, Quantizer],
        progress: Progress,
    ) -> None:
        self.graph, self.values, self.progress = graph, values, progress
        self._asked, self._quantizers = asked, quantizers
        self._last: tuple[dict[int, int], SourceGraph] | None = None

    def with_bits(self, bits: dict[int, int]) -> SourceGraph:
        """The graph with quantizers, and weights of so many bits; the last one is kept."""
        if self._last is None or self._last[0] != bits:
            method = self._asked.weight_method
            if method.changes_weights:
                graph = choose_weights(self.graph, self._quantizers, self.values, bits, method, self.progress)
            else:
                graph = few_bit_weights(self.graph, bits)
            self._last = bits, insert_quantizers(graph, self._quantizers)
        return self._last[1]

    def unrounded(self) -> SourceGraph:
        """The graph with quantizers, and the very kernels of `graph`."""
        return insert_quantizers(self.graph, self._quantizers)


def _bits_in_budget(
    made: _FewBitModel, budget: CostBudget, optimize: Optimization, plan: Callable[[SourceGraph], Program]
) -> tuple[dict[int, int], int]:
    """(position -> bits, what the program then costs).

    The costs of single layers are estimates: tables may change with the bits, and layers share kernels. So the program
    itself is costed, and the limit is tightened by what it takes above the estimate.

    Raises:
        StqError: no choice of bits keeps the budget.
    """
    rest, costs = bit_costs(plan(made.unrounded()), made.graph, budget, optimize)
    samples = few_samples(made.graph, made.values, _SENSITIVITY_SAMPLES)
    noise = measure_sensitivity(made.graph, samples, WIDTHS, made.progress)
    noise = {n: noise[n] for n in costs}
    limit = float(budget.limit - rest)
    for _ in range(_ATTEMPTS):
        bits = choose_bits(noise, costs, limit)
        if bits is None:
            raise _too_small(budget, rest + int(least_cost(costs)))
        bits |= dict.fromkeys(made.graph.floats.keys() - bits.keys(), max(WIDTHS))  # weights that no output needs
        reached = program_cost(plan(made.with_bits(bits)), budget)
        if reached <= budget.limit:
            return bits, reached
        limit = sum(costs[n][bits[n]] for n in costs) - (reached - budget.limit)
    raise _too_small(budget, reached)


def _too_small(budget: CostBudget, least: int) -> StqError:
    what = "bytes of weights and tables" if budget.kind == "flash" else "estimated cycles"
    return StqError(
        f"no choice of {', '.join(map(str, WIDTHS))} bits keeps the budget of {budget.limit:,} {what}",
        cause=f"the network takes about {least:,} with the cheapest bits",
        next="give a larger budget, or a smaller model",
    )
