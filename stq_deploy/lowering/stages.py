"""The steps between an accumulator and a quantizer, exact: scale, bias, batch norm, activations in floating point."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.lowering.functions import Parameters, function_ends, function_value, is_rising

_DIGITS = 60


@dataclass(frozen=True)
class Affine:
    """`factor[c] * v + offset[c]`; one entry where all channels agree."""

    factor: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]

    @property
    def uniform(self) -> bool:
        return len(self.factor) == 1

    def at(self, channel: int) -> tuple[Fraction, Fraction]:
        """(factor, offset) of a channel."""
        i = 0 if self.uniform else channel
        return self.factor[i], self.offset[i]

    def after(self, first: Affine) -> Affine:
        """This one applied to the result of `first`."""
        pairs = [(self.at(c), first.at(c)) for c in range(max(len(self.factor), len(first.factor)))]
        return _affine([(f2 * f1, f2 * o1 + o2) for (f2, o2), (f1, o1) in pairs])


@dataclass(frozen=True)
class Clip:
    """`min(max(v, low), high)`; a bound may be None."""

    low: Fraction | None
    high: Fraction | None


@dataclass(frozen=True)
class Leaky:
    """v where positive, `slope * v` below 0; slope > 0."""

    slope: Fraction


@dataclass(frozen=True)
class Monotone:
    """A rising activation of `functions.FUNCTIONS`, such as "sigmoid", with its parameters."""

    function: str
    parameters: Parameters = ()


@dataclass(frozen=True)
class Curved:
    """An activation of `functions.FUNCTIONS` that falls and rises, such as "swish"."""

    function: str
    parameters: Parameters = ()


Stage = Affine | Clip | Leaky | Monotone | Curved


def run_stage(stage: Stage, channel: int, v: Fraction) -> Fraction:
    """The stage's value at v: exact, or to 60 digits where it is not rational."""
    if isinstance(stage, Affine):
        factor, offset = stage.at(channel)
        return factor * v + offset
    if isinstance(stage, Clip):
        v = v if stage.low is None else max(v, stage.low)
        return v if stage.high is None else min(v, stage.high)
    if isinstance(stage, Leaky):
        return v if v > 0 else stage.slope * v
    return function_value(stage.function, stage.parameters, v)


def stage_ends(stage: Stage, channel: int, ends: tuple[Fraction, Fraction]) -> tuple[Fraction, Fraction]:
    """Bounds of the stage's values for arguments between two numbers, in either order."""
    if isinstance(stage, Monotone | Curved):
        return function_ends(stage.function, stage.parameters, ends)
    first, last = ends
    return run_stage(stage, channel, first), run_stage(stage, channel, last)


def rises(stage: Stage) -> bool:
    """Whether no channel's value falls where its input rises."""
    if isinstance(stage, Curved):
        return False
    return not isinstance(stage, Affine) or all(factor >= 0 for factor in stage.factor)


def function_stage(function: str, parameters: Parameters) -> Monotone | Curved:
    """The stage of a function of `FUNCTIONS`."""
    return (Monotone if is_rising(function) else Curved)(function, parameters)


def part(stage: Stage, channels: slice) -> Stage:
    """The stage for some of the channels."""
    if isinstance(stage, Affine) and not stage.uniform:
        return Affine(stage.factor[channels], stage.offset[channels])
    return stage


def chain(*stages: Stage) -> tuple[Stage, ...]:
    """The stages in sequence; adjacent affine ones are merged."""
    joined: list[Stage] = []
    for stage in stages:
        if isinstance(stage, Affine) and joined and isinstance(joined[-1], Affine):
            joined[-1] = stage.after(joined[-1])
        else:
            joined.append(stage)
    return tuple(joined)


def scaled(scale: Sequence[Fraction]) -> Affine:
    """Multiplication by a scale per channel."""
    return _affine([(s, Fraction(0)) for s in scale])


def shifted(offset: npt.NDArray[np.floating[Any]]) -> Affine:
    """Addition of a number per channel."""
    return _affine([(Fraction(1), Fraction(float(o))) for o in offset])


def batch_norm(
    gamma: npt.NDArray[np.floating[Any]],
    beta: npt.NDArray[np.floating[Any]],
    mean: npt.NDArray[np.floating[Any]],
    variance: npt.NDArray[np.floating[Any]],
    epsilon: float,
) -> Affine:
    """Batch normalization at inference, `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    The factor `gamma / sqrt(variance + epsilon)`, epsilon in float32 as in Keras, is rounded once to
    float64. That is part of the definition (docs/DESIGN.md, "Numbers").
    """
    pairs = []
    with decimal.localcontext() as context:
        context.prec = _DIGITS
        small = decimal.Decimal(float(np.float32(epsilon)))
        for g, b, m, v in zip(gamma.tolist(), beta.tolist(), mean.tolist(), variance.tolist(), strict=True):
            factor = Fraction(float(decimal.Decimal(g) / (decimal.Decimal(v) + small).sqrt()))
            pairs.append((factor, Fraction(b) - factor * Fraction(m)))
    return _affine(pairs)


def _affine(pairs: Sequence[tuple[Fraction, Fraction]]) -> Affine:
    if all(pair == pairs[0] for pair in pairs):
        pairs = pairs[:1]
    return Affine(tuple(f for f, _ in pairs), tuple(o for _, o in pairs))
