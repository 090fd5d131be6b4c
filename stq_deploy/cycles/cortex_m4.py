"""The Cortex-M4's cycles by Arm's table, one instruction after the other.

Sources: Arm DDI0439 (Cortex-M4 technical reference manual, "Processor instruction timings"); jnk0le, "pipeline cycle
test", doc/cortex_m3m4.md, for addresses that the instruction before has computed. The manual gives two
ranges. A division takes 2 to 12 cycles: the model uses 12. A jump refills the pipeline in 1 to 3: the model uses 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from stq_deploy.cycles.operation import CoreUnit, Operation
from stq_deploy.cycles.timeline import Cause, CoreTiming, ExecutedOperation, nothing_spent

NAME = "cortex-m4"
_DIVISION_CYCLES = 12
_REFILL_CYCLES = 2
_MEMORY = frozenset({CoreUnit.LOAD, CoreUnit.STORE})


class CortexM4:
    """See `CoreModel`."""

    name = NAME
    has_branch_predictor = False

    def time(self, parts: Sequence[Sequence[ExecutedOperation]]) -> CoreTiming:
        """See `CoreModel`. The core predicts no branch, so no prediction is wrong."""
        cycles = 0.0
        before: Operation | None = None
        marks, spent = [], []
        for part in parts:
            mine = nothing_spent()
            for step in part:
                cost, cause = _cost(step, before)
                cycles += cost
                mine[cause] += cost
                before = step.operation
            marks.append(cycles)
            spent.append(mine)
        return CoreTiming(tuple(marks), tuple(spent), (0,) * len(parts))


def _cost(step: ExecutedOperation, before: Operation | None) -> tuple[int, Cause]:
    operation = step.operation
    unit = operation.unit
    refill = _REFILL_CYCLES if step.jumps else 0
    waits = 1 if before is not None and set(before.results) & set(operation.early) and unit in _MEMORY else 0
    if unit is CoreUnit.LOAD:
        follows = before is not None and before.unit is CoreUnit.LOAD and not waits
        return (1 if follows else 2) + waits + refill, Cause.LOADS
    if unit is CoreUnit.STORE:
        return 1 + waits, Cause.LOADS
    if unit in (CoreUnit.LOAD_MANY, CoreUnit.STORE_MANY):
        return 1 + operation.words + refill, Cause.LOADS
    if unit is CoreUnit.DIVIDE:
        return _DIVISION_CYCLES, Cause.ALU
    if unit in (CoreUnit.BRANCH, CoreUnit.IT):
        return 1 + refill, Cause.BRANCHES
    return 1 + refill, Cause.ALU
