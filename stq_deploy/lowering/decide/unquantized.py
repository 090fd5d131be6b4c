"""Decides how a value that no quantizer rounds is stored: as exact integers, or in fixed point.

The two classes of questions are `exact` (is there a tensor of exact integers?) and `fixed` (a rounded one). Both go
down the expression to its tensors. A question has one answer, however often a caller asks it. Asking costs nothing,
because the decisions leave out a tensor that no output needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from stq_deploy.frontend import source as s
from stq_deploy.lowering.certificate import Certified
from stq_deploy.lowering.curves import SMOOTH, CurveArgument, make_curve
from stq_deploy.lowering.decide.decision import Decision, ValueForm
from stq_deploy.lowering.decide.operation import (
    UnrequantizedOp,
    accumulation,
    combination,
    combination_fits,
    common_fixed_step,
    rescaling,
)
from stq_deploy.lowering.decide.rearrangement import joined_levels, rearrange
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import (
    Accumulator,
    Combination,
    Ends,
    Expression,
    ExpressionCore,
    Rearrangement,
    RearrangingNode,
    TensorValue,
    real_bounds,
)
from stq_deploy.lowering.fixed_point import BITS, fixed_point, power_of_two
from stq_deploy.lowering.stages import Affine, Clip, Leaky, Monotone, Stage, chain, scaled
from stq_deploy.network import TensorType
from stq_deploy.network.ops import Curve, Maximum, Minimum, Multiply
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.network.tensor import fits, smallest_type

FEWEST_BITS = 12
"""Fewest bits of fixed-point numbers that layers read: with fewer, the result would be a guess."""
_UNBOUNDED = Clip(None, None)


class TensorDecider:
    """Turns expressions into tensors, and collects the decisions.

    In the methods below, `reader` is the layer that needs the tensor, for errors.

    Attributes:
        decisions: all so far; each reads only outputs of earlier ones.
    """

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self._stored: dict[ExpressionCore, TensorValue] = {}
        self._fixed: dict[tuple[Expression, Fraction], TensorValue] = {}

    def add(self, decision: Decision) -> TensorValue:
        """Record a decision; returns its tensor."""
        self.decisions.append(decision)
        return decision.output

    # Exact

    def exact(self, term: Expression, reader: str) -> TensorValue | None:
        """The term as exact integers of one scale, or None."""
        if term.stages or (isinstance(term.core, Accumulator) and len(set(term.core.scale)) > 1):
            return None
        x = self.stored(term.core, reader)
        return x if x.uniform else None

    def stored(self, core: ExpressionCore, reader: str) -> TensorValue:
        """A tensor of the core's exact integers; one, however many layers read it."""
        if isinstance(core, TensorValue):
            return core
        if core not in self._stored:
            self._stored[core] = (
                self._rearranged(core, reader) if isinstance(core, Rearrangement) else self._kept(core, reader)
            )
        return self._stored[core]

    def tensor(self, value: Expression, reader: str) -> TensorValue:
        """The value: exact integers where it has no stages, otherwise fixed-point numbers."""
        if not value.stages:
            return self.stored(value.core, reader)
        return self.fixed(value, rounding_step(value, BITS), reader)

    def rearranged(self, node: RearrangingNode, terms: Sequence[TensorValue], layer: str) -> TensorValue:
        """A rearrangement of tensors; `layer` is the Keras layer whose output it is, or ""."""
        if isinstance(node, s.ConcatenateNode) and joined_levels(terms) is None:
            step = common_fixed_step(tuple(Expression(x) for x in terms))
            terms = [self._aligned(Expression(x), step, node.layer) for x in terms]
        return self.add(rearrange(node, terms, layer))

    def operation(self, core: ExpressionCore, sources: tuple[str, ...], reader: str) -> UnrequantizedOp:
        """The op whose accumulator is `core`, with its inputs decided; `sources` are the layers of what follows it."""
        if isinstance(core, TensorValue):
            return rescaling(core, sources[-1] if sources else reader, sources)
        if isinstance(core, Accumulator):
            return accumulation(core, sources)
        if isinstance(core, Combination):
            return combination(core, self._operands(core, reader), sources)
        raise TypeError("a rearrangement has no accumulator")

    def _kept(self, core: Accumulator | Combination, reader: str) -> TensorValue:
        operation = self.operation(core, (), reader)
        operation = replace(operation, sources=(core.layer,) if core.whole else ())
        keep, uniform = keep_accumulators(operation), operation.uniform
        smallest, largest = keep.requantize.minimum, keep.requantize.maximum
        scale = operation.scale[:1] if uniform else operation.scale
        type_ = TensorType(
            core.shape, smallest_type(smallest, largest), smallest, largest, float(scale[0]) if uniform else 1.0
        )
        # Where each channel has its own scale, the float comparison lacks a common scale to read the tensor.
        layer = core.layer if core.whole and uniform else ""
        return self.add(operation.decided(ValueForm.EXACT, keep, type_, scale, layer))

    def _rearranged(self, core: Rearrangement, reader: str) -> TensorValue:
        terms = [self.tensor(term, reader) for term in core.terms]
        if not core.keeps_channels:
            terms = [self._uniform(x, reader) for x in terms]
        return self.rearranged(core.node, terms, core.layer if core.whole else "")

    def _uniform(self, x: TensorValue, reader: str) -> TensorValue:
        return x if x.uniform else self.fixed(Expression(x), rounding_step(Expression(x), BITS), reader)

    # The operands of a combination

    def _operands(self, core: Combination, reader: str) -> tuple[TensorValue, TensorValue]:
        """Both terms as uniform tensors whose combination stays within 32 bits."""
        a, b = (self.exact(term, reader) for term in core.terms)
        if a is not None and b is not None and combination_fits(core, (a, b)):
            return a, b
        if core.kind is Multiply:
            operands = self._factors(core, reader)
        else:
            step = common_fixed_step(core.terms)
            a, b = (self._aligned(term, step, reader) for term in core.terms)
            operands = a, b
        if not combination_fits(core, operands):
            raise lowering_error(
                core.layer, "its accumulator can exceed 32 bits", "quantize both branches to similar scales"
            )
        return operands

    def _factors(self, core: Combination, reader: str) -> tuple[TensorValue, TensorValue]:
        """Both terms of a product, rounded only as far as its 30 bits require: exact ones less than others."""
        exact = [self.exact(term, reader) for term in core.terms]
        taken = [30 if x is None else max(abs(end) for end in x.real_levels).bit_length() for x in exact]
        first = min(taken[0], max(15, 30 - taken[1]))
        bits = (first, min(taken[1], 30 - first))
        a, b = (
            x if x is not None and wanted <= left else self.fixed(_or_exact(term, x), rounding_step(term, left), reader)
            for term, x, wanted, left in zip(core.terms, exact, taken, bits, strict=True)
        )
        return a, b

    def _aligned(self, term: Expression, step: Fraction, reader: str) -> TensorValue:
        """A term as multiples of `step`: exact if it is a tensor of such multiples, otherwise rounded."""
        exact = self.exact(term, reader)
        if exact is not None and (exact.step / step).denominator == 1:
            return exact
        return self.fixed(_or_exact(term, exact), step, reader)

    # Fixed point

    def fixed(self, value: Expression, step: Fraction, reader: str) -> TensorValue:
        """The value as multiples of `step`, rounded, of 32 bits at most.

        Raises:
            StqError: the numbers are too large, or a curve has too many arguments.
        """
        if (value, step) not in self._fixed:
            self._fixed[value, step] = self._rounded(value, step, reader)
        return self._fixed[value, step]

    def rounded(self, value: Expression, bits: int, reader: str) -> TensorValue:
        """The value rounded to fixed-point numbers below 2**bits.

        Raises:
            StqError: as `fixed`, or so few bits that the result would be a guess.
        """
        if bits < FEWEST_BITS:
            raise lowering_error(reader, "its sum can exceed 32 bits", "pool smaller windows")
        if isinstance(value.core, Rearrangement):  # a tensor has one range of levels, and its channels differ in scale
            value = replace(value, core=self.stored(value.core, reader))
        return self.fixed(value, rounding_step(value, bits), reader)

    def _rounded(self, value: Expression, step: Fraction, reader: str, bounds: Ends | None = None) -> TensorValue:
        """The rounded value; `bounds` are its exact ends where its core was rounded before."""
        smooth = next((i for i, stage in enumerate(value.stages) if isinstance(stage, Monotone)), None)
        if smooth is not None:
            return self._curved(value, smooth, step, reader)
        core = self.stored(value.core, reader) if isinstance(value.core, Rearrangement) else value.core
        stages, rest = _first_stages(value.stages)
        if rest:
            # Each op rounds. The first rounding has the most bits, because the stages after it may enlarge its error.
            begun = Expression(core, stages, value.sources)
            fine = self.fixed(begun, rounding_step(begun, BITS), reader)
            bounds = bounds or real_bounds(value)
            if isinstance(rest[0], Leaky):
                bent = Expression(_leaky(fine, rest[0], value.sources[-1] if value.sources else reader))
                return self._rounded(replace(bent, stages=rest[1:], sources=value.sources), step, reader, bounds)
            return self._rounded(Expression(fine, rest, value.sources), step, reader, bounds)
        return self._rounded_once(Expression(core, stages, value.sources), step, reader, bounds)

    def _rounded_once(self, value: Expression, step: Fraction, reader: str, bounds: Ends | None) -> TensorValue:
        """As `_rounded`, of a value whose stages are at most a scale and an offset, then a clip."""
        operation = self.operation(value.core, value.sources, reader)
        first, *clips = chain(scaled(operation.scale), *value.stages)
        clip = clips[0] if clips else _UNBOUNDED
        assert isinstance(first, Affine)
        assert isinstance(clip, Clip)
        try:
            found = fixed_point(first, clip, operation.low, operation.high, step)
        except ValueError as error:
            raise lowering_error(reader, str(error), "put a quantizer before it, or scale it down") from error
        form = found.requantize
        if bounds is not None:
            form = replace(
                form,
                minimum=max(form.minimum, math.floor(bounds[0] / step)),
                maximum=min(form.maximum, math.ceil(bounds[1] / step)),
            )
        levels = form.minimum, form.maximum
        type_ = TensorType(operation.shape, smallest_type(*levels), *levels, scale=float(step))
        return self.add(operation.decided(ValueForm.FIXED_POINT, replace(found, requantize=form), type_, (step,), ""))

    # Curves

    def _curved(self, value: Expression, at: int, step: Fraction, reader: str) -> TensorValue:
        """As `fixed`, of a value whose stage number `at` is a sigmoid or tanh."""
        function, after = value.stages[at], value.stages[at + 1 :]
        assert isinstance(function, Monotone)
        x, argument = self._argument(Expression(value.core, value.stages[:at], value.sources), function, reader)
        own = Fraction(1, 2**BITS) if after else step
        try:
            made = make_curve(function.function, argument, own)
        except ValueError as error:
            raise lowering_error(reader, str(error), "put a quantizer before it") from error
        low, high = int(made.table.min()), int(made.table.max())
        dtype = "int16" if fits("int16", low, high) else "int32"
        certificate = {
            "kind": Curve.kind, "exact": False, "entries": len(made.table), "largest_error": float(made.error),
        }  # fmt: skip
        output = TensorValue(TensorType(x.type.shape, dtype, low, high, float(own)), (own,))
        arguments = {"table": made.table, "base": made.base, "shift": made.shift}
        name = value.sources[-1] if value.sources else reader
        curve = self.add(
            Decision(output, ValueForm.CURVE, Curve, (x,), arguments, name, value.sources, "", certificate)
        )
        return self.fixed(Expression(curve, after, value.sources), step, reader) if after else curve

    def _argument(self, value: Expression, function: Monotone, reader: str) -> tuple[TensorValue, CurveArgument]:
        """The argument of a curve: exact integers of one scale, else fixed point where the curve is not flat."""
        core, smooth = value.core, SMOOTH[function.function]
        stages = chain(*value.stages)
        plain = not stages or (len(stages) == 1 and isinstance(stages[0], Affine) and stages[0].uniform)
        if plain and _has_one_scale(core):
            x = self.stored(core, reader)
            factor, offset = stages[0].at(0) if stages and isinstance(stages[0], Affine) else (Fraction(1), Fraction(0))
        else:
            flat = Clip(Fraction(-smooth.flat), Fraction(smooth.flat))
            x = self.fixed(replace(value, stages=(*stages, flat)), smooth.step, reader)
            factor, offset = Fraction(1), Fraction(0)
        factor *= x.step
        return x, CurveArgument(factor, offset - x.type.zero_point * factor, x.type.minimum, x.type.maximum)


def keep_accumulators(operation: UnrequantizedOp) -> Certified[KeepAccumulator]:
    """The form that stores accumulators as they are."""
    channels = len(operation.low)
    form = KeepAccumulator(channels, int(operation.low.min()), int(operation.high.max()))
    return Certified(form, {"kind": "keep", "exact": True, "channels": channels})


def rounding_step(value: Expression, bits: int) -> Fraction:
    """The smallest power-of-two step for which |value| / step < 2**bits, even after rounding up."""
    return power_of_two(max(abs(end) for end in real_bounds(value)) / (2**bits - 2))


def _has_one_scale(core: ExpressionCore) -> bool:
    if isinstance(core, TensorValue):
        return core.uniform
    return not isinstance(core, Rearrangement) and (not isinstance(core, Accumulator) or len(set(core.scale)) == 1)


def _first_stages(stages: tuple[Stage, ...]) -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    """(the stages that one op computes in fixed point, a scale and an offset, then a clip; the remaining stages)."""
    count = int(bool(stages) and isinstance(stages[0], Affine))
    count += int(len(stages) > count and isinstance(stages[count], Clip))
    return stages[:count], stages[count:]


def _leaky(x: TensorValue, stage: Leaky, layer: str) -> Combination:
    """v where positive, else slope * v: the larger of both, or the smaller where the slope is above 1."""
    kind = Maximum if stage.slope <= 1 else Minimum
    lower = Expression(x, (Affine((stage.slope,), (Fraction(0),)),))
    return Combination(layer, False, kind, (Expression(x), lower), x.type.shape)


def _or_exact(term: Expression, exact: TensorValue | None) -> Expression:
    return term if exact is None else Expression(exact)
