"""Cycles of what a layer executed, by a model of the core: an estimate, not a measurement.

A block's cycles depend on what ran before it. So the model times each edge of the trace with the blocks that usually
lead to it. The cycles of the edge's last block count as often as the edge was taken. Loads and stores have the
addresses of sampled executions. A load without an address counts as a conflict with the load beside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from stq_deploy.cycles.branches import wrong_predictions
from stq_deploy.cycles.decode import decode
from stq_deploy.cycles.operation import CoreUnit, Operation
from stq_deploy.cycles.timeline import Cause, CauseCycles, CoreModel, ExecutedOperation, nothing_spent
from stq_deploy.targets.emulator.block_trace import ENTRY, Addresses, BlockTrace

_BLOCKS_BEFORE = 3
_VARIANTS = 4
"""Largest number of executions with different banks that are timed for an edge."""
_MINOR_SHARE = 1e-4
"""An edge with a smaller share of all instructions is timed once."""


@dataclass(frozen=True)
class CoreCycles:
    """Estimated cycles of the core, without waits for memory.

    Attributes:
        spent: cycles by cause.
        instructions: executed instructions; exact.
        without_rule: executed instructions for which the model has no rule; exact.
        without_addresses: loads and stores whose addresses were not sampled; exact.
    """

    spent: CauseCycles
    instructions: int
    without_rule: int
    without_addresses: int

    @property
    def cycles(self) -> float:
        """Sum over all causes."""
        return sum(self.spent.values())


def predict(trace: BlockTrace, core: CoreModel) -> CoreCycles:
    """Estimate the cycles of a layer's trace on a core."""
    return Prediction(trace, core).result()


class Prediction:
    """A decoded trace, with the blocks that run before and after each block."""

    def __init__(self, trace: BlockTrace, core: CoreModel) -> None:
        self._trace = trace
        self._core = core
        self._operations = [decode(block.address, block.code) for block in trace.blocks]
        self._after: dict[int, Counter[int]] = defaultdict(Counter)
        self._before: dict[int, Counter[int]] = defaultdict(Counter)
        for (first, second), count in trace.edges.items():
            if first != ENTRY:
                self._after[first][second] += count
                self._before[second][first] += count

    @cached_property
    def _instructions(self) -> int:
        return self._trace.instructions

    def result(self) -> CoreCycles:
        spent = nothing_spent()
        for (first, second), count in self._trace.edges.items():
            for cause, cycles in self._edge(first, second, count).items():
                spent[cause] += cycles * count
        if self._core.has_branch_predictor:
            spent[Cause.BRANCHES] += self._wrong_jumps()
        counts = self._trace.counts
        return CoreCycles(
            spent,
            self._instructions,
            sum(n * sum(o.unit is CoreUnit.OTHER for o in self._operations[i]) for i, n in counts.items()),
            sum(n * sum(o.words > 0 for o in self._operations[i]) for i, n in counts.items() if not self._samples(i)),
        )

    def time_instructions(self, block: int) -> list[tuple[Operation, float]]:
        """The operations of a block, and the cycles that each adds, after the blocks that usually run before it."""
        before = self._leading_to(block)
        parts = [self._steps(one, None, 0) for one in before]
        steps = self._steps(block, None, 0)
        marks = self._core.time([*parts, *([step] for step in steps)]).marks
        own = marks[len(before) :]
        starts = (marks[len(before) - 1] if before else 0.0, *own)
        return [(step.operation, end - start) for step, start, end in zip(steps, starts, own, strict=False)]

    def _samples(self, block: int) -> Sequence[Addresses]:
        return self._trace.samples.get(block, ())

    def _edge(self, first: int, second: int, count: int) -> CauseCycles:
        """Cycles that block `second` adds after block `first`, on average."""
        chain = [second] if first == ENTRY else [*self._leading_to(first), first, second]
        is_minor = count * len(self._operations[second]) < _MINOR_SHARE * self._instructions
        variants = self._variants(second, 1 if is_minor else _VARIANTS)
        total = nothing_spent()
        weights = sum(variants.values())
        for sample, weight in variants.items():
            parts = [
                self._steps(block, chain[at + 1] if at + 1 < len(chain) else None, sample - (len(chain) - 1 - at))
                for at, block in enumerate(chain)
            ]
            timing = self._core.time(parts)
            for cause, cycles in timing.spent[-1].items():
                total[cause] += cycles * weight / weights
        return total

    def _leading_to(self, block: int) -> list[int]:
        """The blocks that usually run before `block`, the first of them first."""
        found: list[int] = []
        for _ in range(_BLOCKS_BEFORE - 1):
            before = self._before[found[0] if found else block]
            if not before:
                break
            found.insert(0, before.most_common(1)[0][0])
        return found

    def _variants(self, block: int, most: int) -> Mapping[int, int]:
        """Index of a sampled execution -> number of executions whose accesses have the same banks and alignment."""
        alike: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
        for number, sample in enumerate(self._samples(block)):
            kind = tuple((at, address & 7) for at, addresses in sorted(sample.items()) for address in addresses[:1])
            alike[kind].append(number)
        groups = sorted(alike.values(), key=len, reverse=True)[:most]
        # The last of a group, because the executions before it then have samples too.
        return {group[-1]: len(group) for group in groups} or {0: 1}

    def _steps(self, block: int, following: int | None, sample: int) -> list[ExecutedOperation]:
        operations = self._operations[block]
        samples = self._samples(block)
        addresses: Addresses = samples[min(max(sample, 0), len(samples) - 1)] if samples else {}
        steps = [ExecutedOperation(operation, addresses.get(operation.address, ())) for operation in operations]
        last = operations[-1]
        if following is None:
            usual = self._after[block].most_common(1)
            following = usual[0][0] if usual else None
        if last.is_jump and (following is None or self._trace.blocks[following].address != last.end):
            steps[-1] = ExecutedOperation(last, steps[-1].addresses, jumps=True)
        return steps

    def _wrong_jumps(self) -> float:
        """Cycles of all wrong predictions."""
        total = 0.0
        for block, after in self._after.items():
            last: Operation = self._operations[block][-1]
            followers: Counter[int] = Counter()
            for following, count in after.items():
                followers[self._trace.blocks[following].address] += count
            wrong = wrong_predictions(last, followers)
            if wrong:
                parts = [self._steps(one, None, 0) for one in (*self._leading_to(block), block)]
                total += wrong * self._core.time(parts).wrong_jump[-1]
        return total
