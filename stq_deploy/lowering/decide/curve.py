"""A sigmoid or tanh that no quantizer rounds: what its argument is, and the decision that evaluates it by a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from stq_deploy.lowering.curves import SMOOTH, CurveArgument, make_curve
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.decide.exact import has_one_scale
from stq_deploy.lowering.decide.rounding import Rounding
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import Expression, ExpressionCore, TensorValue
from stq_deploy.lowering.fixed_point import BITS
from stq_deploy.lowering.stages import Affine, Clip, Monotone, Stage, chain
from stq_deploy.network import TensorType
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.ops import UNNAMED, Curve
from stq_deploy.network.tensor import fits


@dataclass(frozen=True)
class CurvedValue:
    """A value with a sigmoid or tanh among its stages.

    Attributes:
        argument: the value before the function.
        after: the stages after it.
    """

    argument: Expression
    function: Monotone
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
    """The value, taken apart at its first sigmoid or tanh; None if it has none."""
    for at, stage in enumerate(value.stages):
        if isinstance(stage, Monotone):
            return CurvedValue(replace(value, stages=value.stages[:at]), stage, value.stages[at + 1 :])
    return None


def argument_of(value: CurvedValue) -> Argument:
    """Exact integers of one scale, else fixed point where the curve is not flat."""
    argument, smooth = value.argument, SMOOTH[value.function.function]
    stages = chain(*argument.stages)
    plain = not stages or (len(stages) == 1 and isinstance(stages[0], Affine) and stages[0].uniform)
    if plain and has_one_scale(argument.core):
        if not stages:
            return Argument(argument.core)
        assert isinstance(stages[0], Affine)
        return Argument(argument.core, *stages[0].at(0))
    flat = Clip(Fraction(-smooth.flat), Fraction(smooth.flat))
    return Argument(Rounding(replace(argument, stages=(*stages, flat)), smooth.step))


def curve(value: CurvedValue, argument: Argument, x: TensorValue, step: Fraction, reader: str) -> Decision:
    """The decision that evaluates the function.

    Args:
        x: the tensor of `argument.x`.
        step: of the result; if stages follow, they round again, and the curve has the most bits instead.

    Raises:
        StqError: the argument has too many levels for a table.
    """
    own = Fraction(1, 2**BITS) if value.after else step
    factor = argument.factor * x.step
    line = CurveArgument(factor, argument.offset - x.type.zero_point * factor, x.type.minimum, x.type.maximum)
    try:
        made = make_curve(value.function.function, line, own)
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
