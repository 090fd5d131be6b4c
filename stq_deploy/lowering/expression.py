"""Values while they are lowered: tensors of levels, or arithmetic whose result is not stored yet.

An `Expression` is a core with stages still to be folded. The core is a tensor, the accumulator of a weighted op, a
combination of two expressions, or a rearrangement (pooling by maximum, concatenation, ...) of expressions. An
expression that ends in a quantizer becomes one op per core (`decide.quantized`). One that is read unquantized is stored
exactly, or else in fixed point (`decide.tensors`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.frontend import source as s
from stq_deploy.lowering.stages import Affine, Curved, Monotone, Stage, run_stage, stage_ends
from stq_deploy.network.ops import Add, AveragePool, Maximum, Minimum, Multiply, WeightedOp
from stq_deploy.network.tensor import TensorType

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TensorValue:
    """A tensor that the network will hold; two of them are the same tensor only if they are the same object.

    Attributes:
        scale: real value of one level, exact: one entry, or one per channel of accumulators stored as they are.
    """

    type: TensorType
    scale: tuple[Fraction, ...]

    @property
    def uniform(self) -> bool:
        """Whether all channels have the same scale."""
        return len(self.scale) == 1

    @property
    def step(self) -> Fraction:
        """The one scale of a uniform tensor."""
        (step,) = self.scale
        return step

    @property
    def real_levels(self) -> tuple[int, int]:
        """Smallest and largest level, the zero point subtracted."""
        return self.type.minimum - self.type.zero_point, self.type.maximum - self.type.zero_point


@dataclass(frozen=True, eq=False)
class Accumulator:
    """The accumulator of an op that has no requantization yet.

    Attributes:
        layer: the Keras layer.
        name: the future op's name.
        whole: whether the layer computes nothing else (no bias or activation, not half a separable convolution).
        op: the op, without names and with an open requantization.
        low, high: int64 (C,), the reachable accumulators.
        scale: real value of one accumulator step; one entry, or one per channel.
    """

    layer: str
    name: str
    whole: bool
    op: WeightedOp | AveragePool
    source: TensorValue
    shape: tuple[int, ...]
    low: Integers
    high: Integers
    scale: tuple[Fraction, ...]


CombiningOp = type[Add] | type[Multiply] | type[Maximum] | type[Minimum]


@dataclass(frozen=True, eq=False)
class Combination:
    """`factor` times an elementwise function of two terms of one shape; `layer`, `whole` as in `Accumulator`.

    Attributes:
        signs: 1 or -1; each term is multiplied by its sign first.
    """

    layer: str
    whole: bool
    kind: CombiningOp
    terms: tuple[Expression, Expression]
    shape: tuple[int, ...]
    signs: tuple[int, int] = (1, 1)
    factor: Fraction = Fraction(1)


RearrangingNode = s.MaxPoolNode | s.ReshapeNode | s.PadNode | s.CropNode | s.UpsampleNode | s.ConcatenateNode


@dataclass(frozen=True, eq=False)
class Rearrangement:
    """A rearrangement of terms, not all of which are tensors yet; `whole` as in `Accumulator`."""

    node: RearrangingNode
    whole: bool
    terms: tuple[Expression, ...]

    @property
    def layer(self) -> str:
        return self.node.layer

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.shape

    @property
    def keeps_channels(self) -> bool:
        """Whether channel c of the result comes from channel c of the only term."""
        node, (term, *others) = self.node, self.terms
        return not others and (not isinstance(node, s.ReshapeNode) or node.shape[-1] == shape_of(term)[-1])


ExpressionCore = TensorValue | Accumulator | Combination | Rearrangement


@dataclass(frozen=True, eq=False)
class Expression:
    """`stages` applied to `core`; `sources` are the Keras layers of the stages."""

    core: ExpressionCore
    stages: tuple[Stage, ...] = ()
    sources: tuple[str, ...] = ()


def shape_of(value: Expression) -> tuple[int, ...]:
    """Shape of an expression's value, without the batch axis."""
    return value.core.type.shape if isinstance(value.core, TensorValue) else value.core.shape


def leaves(value: Expression) -> list[TensorValue] | None:
    """The distinct tensors whose levels determine the value, in order; None if it cannot be tabulated so."""
    core = value.core
    if any(isinstance(stage, Monotone | Curved) or not _uniform(stage) for stage in value.stages):
        return None
    if isinstance(core, TensorValue):
        return [core] if core.uniform else None
    if not isinstance(core, Combination):
        return None
    found: list[TensorValue] = []
    for term in core.terms:
        inner = leaves(term)
        if inner is None:
            return None
        found += [leaf for leaf in inner if all(leaf is not known for known in found)]
    return found


def layers_of(core: ExpressionCore) -> tuple[str, ...]:
    """The Keras layers whose arithmetic makes up the whole core, in order."""
    if isinstance(core, TensorValue):
        return ()
    if isinstance(core, Accumulator):
        return (core.layer,)
    inner = [joined(layers_of(term.core), term.sources) for term in core.terms]
    return joined(*inner, (core.layer,))


def joined(*names: Iterable[str]) -> tuple[str, ...]:
    """All names in order, without repetition."""
    return tuple(dict.fromkeys(name for group in names for name in group))


def evaluate(value: Expression, reals: dict[TensorValue, Fraction]) -> Fraction:
    """Value of an expression that has `leaves`, given each tensor's real value; see `run_stage`."""
    core = value.core
    if isinstance(core, TensorValue):
        result = reals[core]
    elif isinstance(core, Combination):
        a, b = (sign * evaluate(term, reals) for sign, term in zip(core.signs, core.terms, strict=True))
        result = core.factor * _COMBINE[core.kind](a, b)
    else:
        raise TypeError("an accumulator cannot be tabulated")
    for stage in value.stages:
        result = run_stage(stage, 0, result)
    return result


Ends = tuple[Fraction, Fraction]
"""The two ends of a value's range, in either order."""


def real_bounds(value: Expression) -> Ends:
    """Smallest and largest real value that the inputs' ranges allow, over all channels."""
    bounds = channel_bounds(value)
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def channel_bounds(value: Expression) -> list[Ends]:
    """(smallest, largest) real value of each channel that the inputs' ranges allow."""
    ends = _core_bounds(value.core)
    bounds = []
    for c in range(shape_of(value)[-1]):
        first, last = ends[c if len(ends) > 1 else 0]
        for stage in value.stages:
            first, last = stage_ends(stage, c, (first, last))
        bounds.append((min(first, last), max(first, last)))
    return bounds


def _core_bounds(core: ExpressionCore) -> list[Ends]:
    """One range per channel, or one for all."""
    if isinstance(core, TensorValue):
        low, high = core.real_levels
        return [(low * scale, high * scale) for scale in core.scale]
    if isinstance(core, Accumulator):
        scale = core.scale * (len(core.low) if len(core.scale) == 1 else 1)
        return [(int(a) * f, int(b) * f) for a, b, f in zip(core.low, core.high, scale, strict=True)]
    terms = [real_bounds(term) for term in core.terms]
    if isinstance(core, Rearrangement):
        return [(min(Fraction(0), *(t[0] for t in terms)), max(Fraction(0), *(t[1] for t in terms)))]
    a, b = ([sign * end for end in ends] for sign, ends in zip(core.signs, terms, strict=True))
    corners = [core.factor * _COMBINE[core.kind](x, y) for x in a for y in b]
    return [(min(corners), max(corners))]


def common_step(steps: Iterable[Fraction]) -> Fraction:
    """The largest number that divides all."""
    common = Fraction(0)
    for step in steps:
        denominator = common.denominator * step.denominator
        numerators = common.numerator * step.denominator, step.numerator * common.denominator
        common = Fraction(math.gcd(*numerators), denominator)
    return common


def each_level(x: TensorValue) -> Iterator[tuple[int, Fraction]]:
    """Every reachable level of a uniform tensor with its exact real value."""
    for level in range(x.type.minimum, x.type.maximum + 1):
        yield level, (level - x.type.zero_point) * x.step


def _uniform(stage: Stage) -> bool:
    return not isinstance(stage, Affine) or stage.uniform


_COMBINE: dict[CombiningOp, Any] = {
    Add: lambda a, b: a + b,
    Multiply: lambda a, b: a * b,
    Maximum: max,
    Minimum: min,
}
