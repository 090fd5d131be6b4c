"""Levels that wrap: exact for every reachable value, and free where none overflows."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.frontend import source as s
from stq_deploy.lowering import lower
from stq_deploy.lowering.float_graph import run_graph
from stq_deploy.network.output import real_values
from stq_deploy.network.reference import run
from tests.helpers.lowering.source_draft import Draft

ROUNDINGS = {
    "half_up": lambda v: math.floor(v + Fraction(1, 2)),
    "half_even": round,
    "floor": math.floor,
}


def graphs(rounding: str, step: Fraction, low: tuple[int, ...], count: tuple[int, ...]) -> list[s.SourceGraph]:
    """(a dense layer whose sums wrap, the same without)."""
    found = []
    for wraps in (True, False):
        draft = Draft((6,))
        value = draft.dense(draft.x, 3)
        if wraps:
            value = draft.add(s.WrapNode, value, step=step, low=low, count=count, rounding=rounding)
        found.append(draft.graph(value))
    return found


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(
    ("step", "low", "count"),
    [
        (Fraction(1, 8), (-8,), (16,)),
        (Fraction(1, 2), (0,), (8,)),
        (Fraction(1, 32), (-128,), (256,)),
        (Fraction(1, 8), (-8, 0, 0), (16, 4, 1)),
        (Fraction(1, 4), (-16, -1, -128), (32, 2, 256)),
    ],
)
def test_sums_wrap_as_fixed_point_numbers_do(
    rounding: str, step: Fraction, low: tuple[int, ...], count: tuple[int, ...]
) -> None:
    graph, plain = graphs(rounding, step, low, count)
    network = lower(graph)
    levels = np.random.default_rng(1).integers(0, 16, (300, 6))
    found = real_values(run(network, levels), network.output_type)
    x = levels / 4
    sums = dict(run_graph(plain, x))[plain.outputs[0]]
    expected = np.empty(sums.shape)
    overflows = 0
    for at, value in np.ndenumerate(sums):
        first, length = low[at[1] % len(low)], count[at[1] % len(count)]
        level = ROUNDINGS[rounding](Fraction(float(value)) / step)
        overflows += not first <= level < first + length
        expected[at] = ((level - first) % length + first) * step
    assert overflows > 20
    assert np.array_equal(found, expected)
    assert np.array_equal(dict(run_graph(graph, x))[graph.outputs[0]], expected)


def test_a_range_that_holds_every_sum_costs_nothing() -> None:
    graph, _ = graphs("half_up", Fraction(1, 16), (-(2**11),), (2**12,))
    assert [op.kind for op in lower(graph).ops] == ["dense"]


def test_sums_of_too_many_bits_are_refused_by_name() -> None:
    graph, _ = graphs("half_up", Fraction(1, 2**14), (-8,), (16,))
    with pytest.raises(
        StqError, match=r"its quantizer wraps, and its input may reach -?\d+ to \d+ of its steps"
    ) as caught:
        lower(graph)
    assert "overflow_mode='SAT'" in caught.value.next
