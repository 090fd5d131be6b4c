"""Conditions in whole numbers are the conditions in fractions, for every kind of even boundary and chain of stages."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.frontend.quantizers import ACTIVATION, affine_quantizer, grid_quantizer, read_quantizer
from stq_deploy.lowering import even_steps as module
from stq_deploy.lowering.epilogue import Epilogue, _first_integers
from stq_deploy.lowering.even_steps import even_steps
from stq_deploy.lowering.input_levels import _first_float32
from stq_deploy.lowering.stages import Affine, Clip, Leaky, Monotone, Stage

QUANTIZERS = [
    *(read_quantizer(text, ACTIVATION) for text in (
        "quantized_bits(4,1,1)", "quantized_bits(3,0,0,alpha=0.5)", "quantized_relu(3,1)", "quantized_linear(4,1,1)")),
    affine_quantizer(-5, 9, Fraction(3, 8)),
    *(grid_quantizer(-4, 6, Fraction(1, 4), rounding)
      for rounding in ("half_even", "half_up", "half_down", "floor", "ceil")),
]  # fmt: skip
NUMBER = st.fractions(-3, 3, max_denominator=8)
ENDS = st.one_of(st.none(), NUMBER)


@st.composite
def _stages(draw: st.DrawFn) -> Stage:
    if draw(st.booleans()):
        return Affine((draw(NUMBER),), (draw(NUMBER),))
    low, high = draw(ENDS), draw(ENDS)
    return Clip(low, high) if low is None or high is None or low <= high else Clip(high, low)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(QUANTIZERS), st.lists(_stages(), max_size=5))
def test_they_are_those_in_fractions(quantizer: object, stages: list[Stage]) -> None:
    epilogue = Epilogue(tuple(stages), quantizer)  # type: ignore[arg-type]
    conditions = epilogue.conditions(0)
    found = even_steps(epilogue.steps, stages, 0)
    assert found is not None
    assert (found.falling, found.first_integers()) == _first_integers(conditions)
    expected = [_first_float32(condition, found.falling) for condition in conditions]
    assert found.first_float32().tolist() == expected


@pytest.mark.parametrize("factor", [Fraction(2) ** 1200, Fraction(1, 2**1200), Fraction(10) ** 60, Fraction(1, 10**60)])
def test_numbers_beyond_floats(factor: Fraction) -> None:
    epilogue = Epilogue((Affine((factor,), (Fraction(1, 3),)),), QUANTIZERS[0])
    found = even_steps(epilogue.steps, epilogue.stages, 0)
    assert found is not None
    with np.errstate(over="ignore"):
        expected = [_first_float32(one, False) for one in epilogue.conditions(0)]
    assert found.first_float32().tolist() == expected
    assert found.first_integers() == _first_integers(epilogue.conditions(0))[1]


@pytest.mark.parametrize("stage", [Leaky(Fraction(1, 4)), Monotone("sigmoid")])
def test_others_are_left_to_fractions(stage: Stage) -> None:
    steps = Epilogue((), QUANTIZERS[0]).steps
    assert even_steps(steps, [stage], 0) is None
    uneven = Epilogue((), read_quantizer("quantized_relu(4,2,negative_slope=0.25)", ACTIVATION)).steps
    assert even_steps(uneven, [], 0) is None


def test_elements_of_one_function_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An input of 2,000 elements with 4 widths takes the thresholds of 4 functions, however many ask for its levels."""
    from stq_deploy.frontend import source as s
    from stq_deploy.lowering import input_levels
    from stq_deploy.lowering.post_training import quantizes_input

    counted = []
    original = module.even_steps
    monkeypatch.setattr(input_levels, "even_steps", lambda *rest: counted.append(1) or original(*rest))
    size = 2000
    factors = tuple(Fraction(2) ** (i % 4) for i in range(size))
    nodes = (
        s.InputNode("input", (), (size,)),
        s.AffineNode("scaled", (0,), (size,), factors, (Fraction(0),) * size),
        s.QuantizeNode("levels", (1,), (size,), affine_quantizer(-128, 127, Fraction(1, 16))),
        s.DenseNode("dense", (2,), (4,)),
    )
    graph = s.SourceGraph(nodes, (3,), {}, {}, "m", {}, ())
    assert quantizes_input(graph)
    assert quantizes_input(graph)
    assert len(counted) == 4
