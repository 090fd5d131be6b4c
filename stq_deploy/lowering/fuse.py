"""Fuses elementwise chains into tables: any function of one int8 tensor, or of two with few levels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from stq_deploy.lowering.epilogue import Condition, Epilogue
from stq_deploy.lowering.expression import Core, Expression, Levels, each_level, evaluate
from stq_deploy.network.ops import PairTable, Table


def fuse(
    core: Core, tensors: list[Levels], epilogue: Epilogue, name: str, sources: tuple[str, ...]
) -> tuple[Table | PairTable, tuple[int, int]] | None:
    """`epilogue` of `core` as a table of exactly evaluated entries, with the smallest and largest level in it.

    Args:
        tensors: the distinct tensors in `core`.
        name, sources: those of the new op.

    Returns:
        None if there are more than two tensors, too many pairs of levels, or functions that differ by channel.
    """
    if not epilogue.uniform or any(t.type.dtype != "int8" for t in tensors):
        return None
    whole = Expression(core)
    conditions, lowest = epilogue.conditions(0), epilogue.steps.minimum + epilogue.steps.zero_point
    if len(tensors) == 1:
        (x,) = tensors
        entries = {
            stored: lowest + _reached(conditions, evaluate(whole, {x.tensor: value})) for stored, value in each_level(x)
        }
        table = np.zeros(256, np.int8)
        for stored, level in entries.items():
            table[stored + 128] = level
        op = Table(name=name, inputs=(x.tensor,), output=name, sources=sources, table=table)
        return op, (min(entries.values()), max(entries.values()))
    if len(tensors) > 2:
        return None
    a, b = tensors
    shape = (a.type.maximum - a.type.minimum + 1, b.type.maximum - b.type.minimum + 1)
    if shape[0] * shape[1] > PairTable.MAXIMUM_ENTRIES:
        return None
    pairs = np.empty(shape, np.int8)
    for i, (_, left) in enumerate(each_level(a)):
        for j, (_, right) in enumerate(each_level(b)):
            pairs[i, j] = lowest + _reached(conditions, evaluate(whole, {a.tensor: left, b.tensor: right}))
    pair_op = PairTable(name=name, inputs=(a.tensor, b.tensor), output=name, sources=sources, table=pairs)
    return pair_op, (int(pairs.min()), int(pairs.max()))


def _reached(conditions: tuple[Condition, ...], v: Fraction) -> int:
    """How many conditions v meets; conditions of ascending levels hold up to some level and fail above it."""
    low, high = 0, len(conditions)
    while low < high:
        middle = (low + high) // 2
        if conditions[middle].holds(v):
            low = middle + 1
        else:
            high = middle
    return low
