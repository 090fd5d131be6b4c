"""The operands of sums and products, decided without any state: exact tensors, or values with the step to round to."""

from __future__ import annotations

from fractions import Fraction

import pytest

from stq_deploy.lowering.decide.operands import aligned_operand, exact_operands, factor_operands
from stq_deploy.lowering.decide.rounding import Rounding
from stq_deploy.lowering.expression import Combination, CombiningOp, Expression, TensorValue
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Add, Multiply

HALF = Fraction(1, 2)


def tensor(bits: int, step: Fraction = HALF) -> TensorValue:
    """Levels below 2**bits of either sign."""
    return TensorValue(TensorType((2,), "int32", -(2**bits) + 1, 2**bits - 1, float(step)), (step,))


def combined(kind: CombiningOp, a: TensorValue, b: TensorValue) -> Combination:
    return Combination("c", True, kind, (Expression(a), Expression(b)), (2,))


@pytest.mark.parametrize(
    ("kind", "bits", "fits"),
    [(Add, (30, 30), True), (Add, (31, 30), False), (Multiply, (15, 16), True), (Multiply, (16, 16), False)],
)
def test_exact_tensors_are_taken_if_their_combination_fits(
    kind: CombiningOp, bits: tuple[int, int], fits: bool
) -> None:
    a, b = tensor(bits[0]), tensor(bits[1])
    assert exact_operands(combined(kind, a, b), [a, b]) == ((a, b) if fits else None)
    assert exact_operands(combined(kind, a, b), [a, None]) is None


@pytest.mark.parametrize(
    ("bits", "left"),
    [((20, 20), (15, 15)), ((8, 29), (8, 22)), ((29, 8), (22, 8)), ((16, 15), (15, 15)), ((2, 31), (2, 28))],
)
def test_factors_share_thirty_bits(bits: tuple[int, int], left: tuple[int, int]) -> None:
    """A short exact factor stays as it is, and leaves its bits to the other."""
    exact = [tensor(bits[0]), tensor(bits[1])]
    operands = factor_operands(combined(Multiply, *exact), exact)
    for x, operand, own, rest in zip(exact, operands, bits, left, strict=True):
        if own <= rest:
            assert operand is x
        else:
            assert isinstance(operand, Rounding)
            assert operand.value.core is x
            largest = x.type.maximum * HALF / operand.step
            assert 2 ** (rest - 1) - 1 <= largest < 2**rest


def test_a_term_is_taken_as_it_is_where_its_levels_are_multiples_of_the_step() -> None:
    x = tensor(4)
    assert aligned_operand(Expression(x), x, HALF / 4) is x
    for exact, step in ((x, HALF * 2), (x, HALF / 3 * 2), (None, HALF)):
        operand = aligned_operand(Expression(x), exact, step)
        assert isinstance(operand, Rounding)
        assert (operand.value.core, operand.step) == (x, step)
