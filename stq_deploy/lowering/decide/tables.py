"""Decides whether a chain of elementwise arithmetic becomes a table: a function of one int8 tensor, or of two."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.epilogue import Condition, Epilogue
from stq_deploy.lowering.expression import Expression, ExpressionCore, TensorValue, each_level, evaluate
from stq_deploy.lowering.stages import Affine, Curved
from stq_deploy.lowering.step_function import GUARD
from stq_deploy.network.ops import PairTable, Table


@dataclass(frozen=True, eq=False)
class TabledFunction:
    """A function of one or two tensors as a table of exactly evaluated entries.

    Attributes:
        table: int8, as the op stores it: (256,), or (levels of the first, levels of the second).
        reached: smallest and largest level in it.
    """

    op: type[Table] | type[PairTable]
    inputs: tuple[TensorValue, ...]
    table: npt.NDArray[np.int8]
    reached: tuple[int, int]


def tabled(core: ExpressionCore, tensors: list[TensorValue], epilogue: Epilogue) -> TabledFunction | None:
    """`epilogue` of `core` as a table.

    Args:
        tensors: the distinct tensors in `core`.

    Returns:
        None if there are more than two tensors, too many pairs of levels, or functions that differ by channel.
    """
    whole = Expression(core)
    if any(isinstance(stage, Curved) for stage in epilogue.stages):
        # No condition on the core says which level a function reaches that falls and rises.
        whole, epilogue = Expression(core, epilogue.stages), Epilogue((), epilogue.quantizer)
        if not all(stage.uniform for stage in whole.stages if isinstance(stage, Affine)):
            return None
    if not epilogue.uniform or any(t.type.dtype != "int8" for t in tensors) or len(tensors) > 2:
        return None
    first, *others = tensors
    return _of_two(whole, first, others[0], epilogue) if others else _of_one(whole, first, epilogue)


def _of_one(whole: Expression, x: TensorValue, epilogue: Epilogue) -> TabledFunction:
    conditions = epilogue.conditions(0)
    lowest = epilogue.steps.minimum + epilogue.steps.zero_point
    entries = {stored: lowest + _reached(conditions, evaluate(whole, {x: value})) for stored, value in each_level(x)}
    table = np.zeros(256, np.int8)
    for stored, level in entries.items():
        table[stored + 128] = level
    return TabledFunction(Table, (x,), table, (min(entries.values()), max(entries.values())))


def _of_two(whole: Expression, a: TensorValue, b: TensorValue, epilogue: Epilogue) -> TabledFunction | None:
    shape = (a.type.maximum - a.type.minimum + 1, b.type.maximum - b.type.minimum + 1)
    if shape[0] * shape[1] > PairTable.MAXIMUM_ENTRIES:
        return None
    conditions = epilogue.conditions(0)
    lowest = epilogue.steps.minimum + epilogue.steps.zero_point
    pairs = np.empty(shape, np.int8)
    for i, (_, left) in enumerate(each_level(a)):
        for j, (_, right) in enumerate(each_level(b)):
            pairs[i, j] = lowest + _reached(conditions, evaluate(whole, {a: left, b: right}))
    return TabledFunction(PairTable, (a, b), pairs, (int(pairs.min()), int(pairs.max())))


def _reached(conditions: tuple[Condition, ...], v: Fraction) -> int:
    """How many conditions v meets; conditions of ascending levels hold up to some level and fail above it."""
    low, high = 0, len(conditions)
    while low < high:
        middle = (low + high) // 2
        boundary = conditions[middle].boundary.value
        if boundary is not None and 0 < abs(v - boundary) < GUARD:
            raise ArithmeticError("a value lies within 1e-40 of the boundary between two levels")
        if conditions[middle].holds(v):
            low = middle + 1
        else:
            high = middle
    return low
