"""A function that no quantizer rounds: what its argument is, and the decision that evaluates it by a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from stq_deploy.lowering.curves import ENTRIES, CurveArgument, make_curve
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.decide.exact import has_one_scale
from stq_deploy.lowering.decide.rounding import Rounding, rounding_step
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import (
    Combination,
    Expression,
    ExpressionCore,
    TensorValue,
    real_bounds,
    shape_of,
)
from stq_deploy.lowering.fixed_point import BITS
from stq_deploy.lowering.functions import FUNCTIONS
from stq_deploy.lowering.stages import Affine, Clip, Curved, Monotone, Stage, chain
from stq_deploy.network import TensorType
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.ops import UNNAMED, Add, Curve
from stq_deploy.network.tensor import fits


@dataclass(frozen=True)
class CurvedValue:
    """A value with a function among its stages that has no rational form.

    Attributes:
        argument: the value before the function.
        after: the stages after it.
    """

    argument: Expression
    function: Monotone | Curved
    after: tuple[Stage, ...]


@dataclass(frozen=True)
class Argument:
    """The argument of a curve: factor * x + offset.

    Attributes:
        x: a core to be stored as exact integers, or a value to be rounded.
    """

    x: ExpressionCore | Rounding
    factor: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)


def curved(value: Expression) -> CurvedValue | None:
    """The value, taken apart at its first function without a rational form; None if it has none."""
    for at, stage in enumerate(value.stages):
        if isinstance(stage, Monotone | Curved):
            return CurvedValue(replace(value, stages=value.stages[:at]), stage, value.stages[at + 1 :])
    return None


def argument_of(value: CurvedValue) -> Argument:
    """Exact integers of one scale, else fixed point where the curve is not flat."""
    argument, name = value.argument, value.function.function
    stages = chain(*argument.stages)
    if _is_plain(argument):
        if not stages:
            return Argument(argument.core)
        assert isinstance(stages[0], Affine)
        return Argument(argument.core, *stages[0].at(0))
    flat = FUNCTIONS[name].flat
    if flat is not None:
        argument = replace(argument, stages=(*stages, Clip(Fraction(-flat), Fraction(flat))))
    return Argument(Rounding(argument, _FINEST.get(name) or rounding_step(argument, _ARGUMENT_BITS)))


def with_line(value: CurvedValue, reader: str) -> Expression | None:
    """`f(clip(x, -line, line)) + max(x - line, 0)`, for a function that is its argument from some `line` on.

    None for another function, and where the argument stays within the line or each of its levels has an entry.
    """
    argument, line = value.argument, FUNCTIONS[value.function.function].line
    if line is None or _has_few_levels(argument) or max(abs(end) for end in real_bounds(argument)) <= line:
        return None
    within, above = Clip(Fraction(-line), Fraction(line)), Affine((Fraction(1),), (Fraction(-line),))
    terms = (
        replace(argument, stages=chain(*argument.stages, within, value.function)),
        replace(argument, stages=chain(*argument.stages, above, Clip(Fraction(0), None))),
    )
    name = argument.sources[-1] if argument.sources else reader
    return Expression(Combination(name, False, Add, terms, shape_of(argument)), value.after, argument.sources)


_ARGUMENT_BITS = 29
_FINEST = {"sigmoid": Fraction(1, 2**25), "tanh": Fraction(1, 2**26)}
"""Function -> step of the fixed-point numbers to which an argument without levels is rounded; others use 29 bits."""


def _is_plain(value: Expression) -> bool:
    """Whether integers of one scale give the value by one factor and one offset."""
    stages = chain(*value.stages)
    plain = not stages or (len(stages) == 1 and isinstance(stages[0], Affine) and stages[0].uniform)
    return plain and has_one_scale(value.core)


def _has_few_levels(value: Expression) -> bool:
    """Whether a curve has an entry for each level of its argument."""
    core = value.core
    return _is_plain(value) and isinstance(core, TensorValue) and core.type.maximum - core.type.minimum < ENTRIES


def curve(value: CurvedValue, argument: Argument, x: TensorValue, step: Fraction, reader: str) -> Decision:
    """The decision that evaluates the function.

    Args:
        x: the tensor of `argument.x`.
        step: of the result; if stages follow, they round again, and the curve has the most bits instead.

    Raises:
        StqError: the argument has too many levels for a table.
    """
    own = step
    if value.after:
        curved = replace(value.argument, stages=(*value.argument.stages, value.function))
        own = max(Fraction(1, 2**BITS), rounding_step(curved, _ARGUMENT_BITS))
    factor = argument.factor * x.step
    line = CurveArgument(factor, argument.offset - x.type.zero_point * factor, x.type.minimum, x.type.maximum)
    try:
        made = make_curve(value.function.function, value.function.parameters, line, own)
    except ValueError as error:
        raise lowering_error(reader, str(error), "put a quantizer before it") from error
    low, high = int(made.table.min()), int(made.table.max())
    dtype = "int16" if fits("int16", low, high) else "int32"
    certificate = Certificate(Curve.kind, False, entries=len(made.table), largest_error=float(made.error))
    output = TensorValue(TensorType(x.type.shape, dtype, low, high, float(own)), (own,))
    op = Curve(*UNNAMED, table=made.table, base=made.base, shift=made.shift)
    sources = value.argument.sources
    name = sources[-1] if sources else reader
    return Decision(output, ValueForm.CURVE, op, (x,), name, sources, "", certificate)
