"""Turns expressions into ops: requantized by a quantizer, or stored unquantized - exactly, or in fixed point.

Each core is stored once, however many layers read it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from stq_deploy.frontend import source as s
from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.builder import NetworkBuilder
from stq_deploy.lowering.certify import certify
from stq_deploy.lowering.curves import SMOOTH, Argument, make_curve
from stq_deploy.lowering.epilogue import Epilogue
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import (
    Accumulated,
    Bounds,
    Combined,
    Core,
    Expression,
    Integers,
    Levels,
    Moved,
    Movement,
    combine,
    joined,
    layers_of,
    leaves,
    real_bounds,
)
from stq_deploy.lowering.fixed_point import BITS, fixed_point, power_of_two
from stq_deploy.lowering.fuse import fuse
from stq_deploy.lowering.logits import certify_logits
from stq_deploy.lowering.movement import commutes, joined_levels, move
from stq_deploy.lowering.stages import Affine, Clip, Leaky, Monotone, Stage, chain, part, scaled
from stq_deploy.lowering.step_function import StepFunction
from stq_deploy.network import TensorType
from stq_deploy.network.ops import (
    Curve,
    Maximum,
    Minimum,
    Multiply,
    Op,
    Rescale,
)
from stq_deploy.network.requantize import KeepAccumulator, Requantize
from stq_deploy.network.tensor import fits, smallest_type

_NO_REQUANTIZE = KeepAccumulator(0, 0, 0)  # placeholder where an op only gives its accumulator's range
_MAXIMUM_TABLED_LEVELS = 256
FEWEST_BITS = 12
"""Fewest bits of fixed-point numbers that layers read: with fewer, the result would be a guess."""
_UNBOUNDED = Clip(None, None)


class Materializer:
    """Appends ops to a network under construction until an expression is a tensor.

    In the methods below, `reader` is the layer that needs the tensor, for errors.
    """

    def __init__(self, built: NetworkBuilder) -> None:
        self.built = built
        self._stored: dict[Core, Levels] = {}
        self._fixed: dict[tuple[Expression, Fraction], Levels] = {}

    # Quantized

    def requantized(self, value: Expression, quantizer: Quantizer, reader: str, layer: str) -> Levels:
        """The value quantized.

        Args:
            reader: the quantizing layer.
            layer: the Keras layer whose output this is, or "".

        Raises:
            StqError: there is no exact integer form.
        """
        core, epilogue = value.core, Epilogue(value.stages, quantizer)
        if isinstance(core, Moved):
            if commutes(core, value.stages):
                return self._moved_after(core, value, quantizer, reader, layer)
            value = replace(value, core=self.stored(core, reader))
            core = value.core
        steps = epilogue.steps
        tensors = leaves(Expression(core))
        if tensors is not None and steps.maximum - steps.minimum < _MAXIMUM_TABLED_LEVELS:
            name = self.built.unique(reader if isinstance(core, Levels) else core.layer)
            fused = fuse(core, tensors, epilogue, name, joined(layers_of(core), value.sources))
            if fused is not None:
                table, reached = fused
                certificate = {"kind": table.kind, "exact": True, "entries": int(table.table.size)}
                output = _quantized_type(_core_shape(core), steps, reached)
                return self.built.add(table, output, (steps.step,), layer, certificate)
        low, high, scale = self._accumulators(core, reader)
        try:
            requantize = certify(Epilogue(chain(scaled(scale), *value.stages), quantizer), low, high)
        except ValueError as error:
            raise lowering_error(reader, f"{quantizer}: {error}", "quantize to at most 8 bits here") from error
        op = self._op(core, requantize, value.sources, reader)
        output = _quantized_type(_core_shape(core), steps, (requantize.minimum, requantize.maximum))
        return self.built.add(op, output, (steps.step,), layer, requantize.certificate)

    def _moved_after(self, core: Moved, value: Expression, quantizer: Quantizer, reader: str, layer: str) -> Levels:
        """Quantize each term, then move: the same levels as in the other order, in a quarter of the memory."""
        quantized, first = [], 0
        for term in core.terms:
            channels = slice(first, first + _core_shape(term.core)[-1])
            stages = tuple(part(stage, channels) for stage in value.stages) if len(core.terms) > 1 else value.stages
            first = channels.stop
            whole = Expression(term.core, chain(*term.stages, *stages), joined(term.sources, value.sources))
            quantized.append(self.requantized(whole, quantizer, reader, ""))
        return self.move(core.node, quantized, layer)

    # Stored unquantized

    def tensor(self, value: Expression, reader: str) -> Levels:
        """The value unquantized: exact integers where it has no stages, otherwise fixed-point numbers."""
        return (
            self.stored(value.core, reader)
            if not value.stages
            else self.fixed(value, rounding_step(value, BITS), reader)
        )

    def stored(self, core: Core, reader: str) -> Levels:
        """A tensor of the core's exact integers."""
        if isinstance(core, Levels):
            return core
        if core not in self._stored:
            self._stored[core] = self._moved(core, reader) if isinstance(core, Moved) else self._kept(core, reader)
        return self._stored[core]

    def _kept(self, core: Accumulated | Combined, reader: str) -> Levels:
        low, high, scale = self._accumulators(core, reader)
        smallest, largest = int(low.min()), int(high.max())
        keep = KeepAccumulator(len(low), smallest, largest, {"kind": "keep", "exact": True, "channels": len(low)})
        uniform = len(set(scale)) == 1
        # Where each channel has its own scale, the float comparison lacks a common scale to read the tensor.
        layer = core.layer if core.whole and uniform else ""
        op = replace(self._op(core, keep, (), reader), sources=(core.layer,) if core.whole else ())
        dtype = smallest_type(smallest, largest)
        output = TensorType(core.shape, dtype, smallest, largest, float(scale[0]) if uniform else 1.0)
        return self.built.add(op, output, scale[:1] if uniform else scale, layer, keep.certificate)

    def _moved(self, core: Moved, reader: str) -> Levels:
        exact = [self.tensor(term, reader) for term in core.terms]
        if not core.keeps_channels:
            exact = [self._uniform(x, reader) for x in exact]
        return self.move(core.node, exact, core.layer if core.whole else "")

    def _uniform(self, x: Levels, reader: str) -> Levels:
        return x if x.uniform else self.fixed(Expression(x), rounding_step(Expression(x), BITS), reader)

    def fixed(self, value: Expression, step: Fraction, reader: str) -> Levels:
        """The value as multiples of `step`, rounded, of 32 bits at most.

        Raises:
            StqError: a stage is a leaky activation, or the numbers are too large.
        """
        if (value, step) not in self._fixed:
            self._fixed[value, step] = self._rounded(value, step, reader)
        return self._fixed[value, step]

    def rounded(self, value: Expression, bits: int, reader: str) -> Levels:
        """The value rounded to fixed-point numbers below 2**bits.

        Raises:
            StqError: as `fixed`, or so few bits that the result would be a guess.
        """
        if bits < FEWEST_BITS:
            raise lowering_error(reader, "its sum can exceed 32 bits", "pool smaller windows")
        if isinstance(value.core, Moved):  # a tensor has one range of levels, and its channels differ in scale
            value = replace(value, core=self.stored(value.core, reader))
        return self.fixed(value, rounding_step(value, bits), reader)

    def _curved(self, value: Expression, at: int, step: Fraction, reader: str) -> Levels:
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
        name = self.built.unique(value.sources[-1] if value.sources else reader)
        op = Curve(
            name=name, inputs=(x.tensor,), output=name, sources=value.sources,
            table=made.table, base=made.base, shift=made.shift,
        )  # fmt: skip
        certificate = {
            "kind": op.kind, "exact": False, "entries": len(made.table), "largest_error": float(made.error),
        }  # fmt: skip
        output = TensorType(x.type.shape, dtype, low, high, float(own))
        curve = self.built.add(op, output, (own,), "", certificate)
        return self.fixed(Expression(curve, after, value.sources), step, reader) if after else curve

    def _argument(self, value: Expression, function: Monotone, reader: str) -> tuple[Levels, Argument]:
        """The argument of a curve: exact integers of one scale, else fixed point where the curve is not flat."""
        core, smooth = value.core, SMOOTH[function.function]
        stages = chain(*value.stages)
        plain = not stages or (len(stages) == 1 and isinstance(stages[0], Affine) and stages[0].uniform)
        if plain and self._one_scale(core):
            x = self.stored(core, reader)
            factor, offset = stages[0].at(0) if stages and isinstance(stages[0], Affine) else (Fraction(1), Fraction(0))
        else:
            flat = Clip(Fraction(-smooth.flat), Fraction(smooth.flat))
            x = self.fixed(replace(value, stages=(*stages, flat)), smooth.step, reader)
            factor, offset = Fraction(1), Fraction(0)
        factor *= x.step
        return x, Argument(factor, offset - x.type.zero_point * factor, x.type.minimum, x.type.maximum)

    def _one_scale(self, core: Core) -> bool:
        if isinstance(core, Levels):
            return core.uniform
        return not isinstance(core, Moved) and (not isinstance(core, Accumulated) or len(set(core.scale)) == 1)

    def _rounded(self, value: Expression, step: Fraction, reader: str, bounds: Bounds | None = None) -> Levels:
        """The rounded value; `bounds` are its exact ends where its core was rounded before."""
        smooth = next((i for i, stage in enumerate(value.stages) if isinstance(stage, Monotone)), None)
        if smooth is not None:
            return self._curved(value, smooth, step, reader)
        core = self.stored(value.core, reader) if isinstance(value.core, Moved) else value.core
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
        low, high, scale = self._accumulators(core, reader)
        first, *clips = chain(scaled(scale), *stages)
        clip = clips[0] if clips else _UNBOUNDED
        assert isinstance(first, Affine)
        assert isinstance(clip, Clip)
        try:
            requantize = fixed_point(first, clip, low, high, step)
        except ValueError as error:
            raise lowering_error(reader, str(error), "put a quantizer before it, or scale it down") from error
        if bounds is not None:
            requantize = replace(
                requantize,
                minimum=max(requantize.minimum, math.floor(bounds[0] / step)),
                maximum=min(requantize.maximum, math.ceil(bounds[1] / step)),
            )
        op = self._op(core, requantize, value.sources, reader)
        levels = requantize.minimum, requantize.maximum
        output = TensorType(_core_shape(core), smallest_type(*levels), *levels, scale=float(step))
        return self.built.add(op, output, (step,), "", requantize.certificate)

    def logits(self, value: Expression, layer: str, reader: str, *, signs: bool = False) -> Levels:
        """The model's output in 32 bits: the accumulators themselves if they share a scale, else fixed point.

        Args:
            signs: make the fixed-point numbers positive exactly where the logits are.
        """
        core = self.stored(value.core, reader) if isinstance(value.core, Moved) else value.core
        if isinstance(core, Levels) and core.uniform and not value.stages:
            return core
        low, high, scale = self._accumulators(core, reader)
        affine, *rest = chain(scaled(scale), *value.stages)
        if rest:
            return self.fixed(replace(value, core=core), rounding_step(value, BITS), reader)
        assert isinstance(affine, Affine)
        if affine.uniform and affine.offset[0] == 0 and affine.factor[0] > 0 and not isinstance(core, Levels):
            certificate = {"kind": "keep", "exact": True, "channels": len(low)}
            requantize: Requantize = KeepAccumulator(len(low), int(low.min()), int(high.max()), certificate)
            step = affine.factor[0]
        else:
            try:
                requantize, step = certify_logits(affine, low, high, signs=signs)
            except ValueError as error:
                raise lowering_error(reader, str(error), "check the batch normalization's statistics") from error
        op = self._op(core, requantize, value.sources, reader)
        output = TensorType(_core_shape(core), "int32", requantize.minimum, requantize.maximum, float(step))
        return self.built.add(op, output, (step,), layer, requantize.certificate)

    # Accumulators

    def _accumulators(self, core: Core, reader: str) -> tuple[Integers, Integers, tuple[Fraction, ...]]:
        """Reachable accumulators (low, high) per channel, and the scale, one entry or one per channel."""
        if isinstance(core, Accumulated):
            return core.low, core.high, core.scale
        if isinstance(core, Levels):
            ends, scale = core.real_levels, core.scale
        elif isinstance(core, Combined):
            a, b = self._operands(core, reader)
            step, arguments = combine(core, a, b)
            ends, scale = probe(core.kind, arguments).accumulator_range([a.type, b.type]), (step,)
        else:
            raise TypeError("a movement has no accumulator")
        full = np.ones(_core_shape(core)[-1], np.int64)
        return full * ends[0], full * ends[1], scale

    def _operands(self, core: Combined, reader: str) -> tuple[Levels, Levels]:
        """Both terms as uniform tensors whose combination stays within 32 bits."""
        a, b = (self.exact(term, reader) for term in core.terms)
        if a is not None and b is not None and _combination_fits(core, a, b):
            return a, b
        if core.kind is Multiply:
            a, b = self._factors(core, reader)
        else:
            largest = max(abs(end) for term in core.terms for end in real_bounds(term))
            step = power_of_two(largest / 2**BITS)
            a, b = (self._aligned(term, step, reader) for term in core.terms)
        if not _combination_fits(core, a, b):
            raise lowering_error(
                core.layer, "its accumulator can exceed 32 bits", "quantize both branches to similar scales"
            )
        return a, b

    def _factors(self, core: Combined, reader: str) -> tuple[Levels, Levels]:
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

    def exact(self, term: Expression, reader: str) -> Levels | None:
        """The term as exact integers of one scale, or None."""
        if term.stages or (isinstance(term.core, Accumulated) and len(set(term.core.scale)) > 1):
            return None
        x = self.stored(term.core, reader)
        return x if x.uniform else None

    def _aligned(self, term: Expression, step: Fraction, reader: str) -> Levels:
        """A term as multiples of `step`: exact if it is a tensor of such multiples, otherwise rounded."""
        exact = self.exact(term, reader)
        if exact is not None and (exact.step / step).denominator == 1:
            return exact
        return self.fixed(_or_exact(term, exact), step, reader)

    # Ops

    def _op(self, core: Core, requantize: Requantize, stages_of: tuple[str, ...], reader: str) -> Op:
        """The op that computes `core` and requantizes it."""
        if isinstance(core, Levels):
            name = self.built.unique(stages_of[-1] if stages_of else reader)
            return Rescale(name=name, inputs=(core.tensor,), output=name, sources=stages_of, requantize=requantize)
        sources = joined((core.layer,), stages_of)
        if isinstance(core, Accumulated):
            name = self.built.unique(core.name)
            return core.op(
                name=name, inputs=(core.source.tensor,), output=name, sources=sources, requantize=requantize,
                **core.arguments,
            )  # fmt: skip
        assert isinstance(core, Combined)
        a, b = self._operands(core, reader)
        name = self.built.unique(core.layer)
        arguments = combine(core, a, b)[1]
        return core.kind(
            name=name, inputs=(a.tensor, b.tensor), output=name, sources=sources, requantize=requantize, **arguments
        )

    def move(self, node: Movement, terms: Sequence[Levels], layer: str) -> Levels:
        """A movement of tensors; `layer` is the Keras layer whose output it is, or ""."""
        if isinstance(node, s.ConcatenateNode) and joined_levels(terms) is None:
            largest = max(abs(end) for x in terms for end in real_bounds(Expression(x)))
            step = power_of_two(largest / 2**BITS)
            terms = [self._aligned(Expression(x), step, node.layer) for x in terms]
        return move(self.built, node, terms, layer)


def probe(op: type[Any], arguments: dict[str, Any]) -> Any:
    """An op built only for its accumulator's range."""
    return op(name="", inputs=(), output="", sources=(), **{"requantize": _NO_REQUANTIZE, **arguments})


def _combination_fits(core: Combined, a: Levels, b: Levels) -> bool:
    arguments = combine(core, a, b)[1]
    if not all(fits("int32", factor) for factor in arguments.get("factors", ())):
        return False
    return fits("int32", *probe(core.kind, arguments).accumulator_range([a.type, b.type]))


def rounding_step(value: Expression, bits: int) -> Fraction:
    """The smallest power-of-two step for which |value| / step < 2**bits, even after rounding up."""
    return power_of_two(max(abs(end) for end in real_bounds(value)) / (2**bits - 2))


def _first_stages(stages: tuple[Stage, ...]) -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    """(the stages that one op computes in fixed point, a scale and an offset, then a clip; the remaining stages)."""
    count = int(bool(stages) and isinstance(stages[0], Affine))
    count += int(len(stages) > count and isinstance(stages[count], Clip))
    return stages[:count], stages[count:]


def _leaky(x: Levels, stage: Leaky, layer: str) -> Combined:
    """v where positive, else slope * v: the larger of both, or the smaller where the slope is above 1."""
    kind = Maximum if stage.slope <= 1 else Minimum
    lower = Expression(x, (Affine((stage.slope,), (Fraction(0),)),))
    return Combined(layer, False, kind, (Expression(x), lower), x.type.shape)


def _or_exact(term: Expression, exact: Levels | None) -> Expression:
    return term if exact is None else Expression(exact)


def _core_shape(core: Core) -> tuple[int, ...]:
    return core.type.shape if isinstance(core, Levels) else core.shape


def _quantized_type(shape: tuple[int, ...], steps: StepFunction, levels: tuple[int, int]) -> TensorType:
    return TensorType(shape, steps.dtype, levels[0], levels[1], float(steps.step), steps.zero_point)
