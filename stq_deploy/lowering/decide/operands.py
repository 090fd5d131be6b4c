"""The operands of a combination or concatenation: exact tensors as they are, or values to be rounded to a step."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from stq_deploy.lowering.decide.operation import combination_fits, common_fixed_step
from stq_deploy.lowering.decide.rounding import Rounding, rounding_step
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import Combination, Expression, TensorValue
from stq_deploy.network.ops import Multiply

Operand = TensorValue | Rounding
_PRODUCT_BITS = 30
_FACTOR_BITS = 15


def exact_operands(core: Combination, exact: Sequence[TensorValue | None]) -> tuple[TensorValue, TensorValue] | None:
    """Both terms as exact tensors, if both are and their combination stays within 32 bits."""
    a, b = exact
    return (a, b) if a is not None and b is not None and combination_fits(core, (a, b)) else None


def factor_operands(core: Combination, exact: Sequence[TensorValue | None]) -> tuple[Operand, ...]:
    """Both terms of a product, rounded only as far as its 30 bits require: exact ones less than others.

    Args:
        exact: each term as a tensor of exact integers, or None.
    """
    wanted = [_PRODUCT_BITS if x is None else max(abs(end) for end in x.real_levels).bit_length() for x in exact]
    first = min(wanted[0], max(_FACTOR_BITS, _PRODUCT_BITS - wanted[1]))
    left = (first, min(wanted[1], _PRODUCT_BITS - first))
    return tuple(
        x if x is not None and need <= bits else Rounding(_or_exact(term, x), rounding_step(term, bits))
        for term, x, need, bits in zip(core.terms, exact, wanted, left, strict=True)
    )


def sum_step(core: Combination) -> Fraction:
    """The step to which both terms of a sum, maximum or minimum are rounded."""
    return common_fixed_step(core.terms)


def aligned_operand(term: Expression, exact: TensorValue | None, step: Fraction) -> Operand:
    """A term as multiples of `step`: its exact tensor if that has such multiples, otherwise rounded."""
    if exact is not None and (exact.step / step).denominator == 1:
        return exact
    return Rounding(_or_exact(term, exact), step)


def is_product(core: Combination) -> bool:
    """Whether the combination multiplies its terms."""
    return core.kind is Multiply


def check_operands(core: Combination, operands: tuple[TensorValue, TensorValue]) -> None:
    """Refuse operands whose combination can exceed 32 bits.

    Raises:
        StqError: it can.
    """
    if not combination_fits(core, operands):
        raise lowering_error(
            core.layer, "its accumulator can exceed 32 bits", "quantize both branches to similar scales"
        )


def _or_exact(term: Expression, exact: TensorValue | None) -> Expression:
    return term if exact is None else Expression(exact)
