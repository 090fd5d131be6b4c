"""Quantizing activations as monotone step functions with exact steps.

An activation's quantizer gives level >= k exactly where its input v is beyond a boundary b_k. The boundaries are
rational, so "round half to even" only decides whether a boundary is inclusive. The boundaries of the true sigmoid and
tanh are logarithms, computed in `functions` to 60 digits. No accumulator equals one of these: by the
Lindemann-Weierstrass theorem ln(q) of a rational q > 0 other than 1 is not rational.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial

import numpy as np

from stq_deploy.frontend.quantizers import Quantizer
from stq_deploy.lowering.functions import inverse
from stq_deploy.lowering.stages import Clip, Leaky, Monotone
from stq_deploy.network.tensor import fits

GUARD = Fraction(1, 10**40)  # far above the error of 60 digits, far below any real distance
_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class LevelBoundary:
    """The condition `v >= value` (inclusive) or `v > value`.

    Attributes:
        value: None where the condition does not depend on v; it then holds if `inclusive`.
        exact: False for a logarithm, known to 60 digits.
    """

    value: Fraction | None
    inclusive: bool
    exact: bool = True

    def first_integer(self) -> int | None:
        """The smallest integer that meets the condition; None where the condition does not depend on v."""
        if self.value is None:
            return None
        nearest = round(self.value)
        if not self.exact and abs(self.value - nearest) < GUARD:
            raise ArithmeticError("a logarithm lies within 1e-40 of an integer")
        floor = self.value.numerator // self.value.denominator
        return floor if self.inclusive and floor == self.value else floor + 1

    def holds(self, v: Fraction) -> bool:
        if self.value is None:
            return self.inclusive
        return v > self.value or (self.inclusive and v == self.value)


ALWAYS = LevelBoundary(None, True)
NEVER = LevelBoundary(None, False)


@dataclass(frozen=True, eq=False)
class StepFunction:
    """Level of v: `minimum` + the number of `boundaries` whose condition holds.

    Attributes:
        minimum, maximum: the lowest and the highest level.
        step: real value of one level, exact.
        spacing: distance between neighbouring boundaries, where they are evenly spaced; it differs from `step` by the
            activation's `alpha`.
        boundary: the boundary of a level in minimum + 1 .. maximum; they ascend.
        half_up: whether a number half-way between two levels is rounded to the upper one, not to the even one.
        line: (a, b) where every boundary is exact and lies at `a + b * level`; else None.
    """

    minimum: int
    maximum: int
    step: Fraction
    spacing: Fraction
    boundary: Callable[[int], LevelBoundary]
    half_up: bool = False
    line: tuple[Fraction, Fraction] | None = None

    def reaches(self, level: int) -> bool:
        """Whether a number half-way below `level` is rounded to it."""
        return self.half_up or level % 2 == 0

    def nearest(self, value: Fraction) -> int:
        """The level to which `value` is rounded, unclipped, for evenly spaced boundaries."""
        return math.floor(value / self.spacing + _HALF) if self.half_up else round(value / self.spacing)

    @cached_property
    def boundaries(self) -> tuple[LevelBoundary, ...]:
        """One per level except the lowest; computed on demand, as there may be 65,535."""
        return tuple(self.boundary(level) for level in range(self.minimum + 1, self.maximum + 1))

    @cached_property
    def inclusive(self) -> tuple[bool, ...]:
        """`inclusive` of each of `boundaries`."""
        return tuple(boundary.inclusive for boundary in self.boundaries)

    @property
    def zero_point(self) -> int:
        """The number added to a level to store it: -128 for levels 0 to 255, 0 where they fit unchanged."""
        return -128 - self.minimum if self.dtype == "int8" and not fits("int8", self.minimum, self.maximum) else 0

    @property
    def dtype(self) -> str:
        """Storage type of the levels: int8 for up to 256 of them.

        Raises:
            ValueError: they do not fit 16 bits.
        """
        if self.maximum - self.minimum <= 255:
            return "int8"
        if not fits("int16", self.minimum, self.maximum):
            raise ValueError("its levels do not fit 16 bits, of which one is the sign")
        return "int16"


def step_function(quantizer: Quantizer) -> StepFunction:
    """The function of a quantizing activation, as in qkeras 0.9.0 at inference but in exact arithmetic.

    Only for `QuantizeNode`s: the import has rewritten the others (layers/activation.py).

    Raises:
        ValueError: QKeras's levels are not whole steps.
    """
    return _MAKERS[quantizer.name](quantizer)


def is_linear(quantizer: Quantizer) -> bool:
    """Whether it only rounds and clips: level = clip(round(v / step))."""
    if quantizer.name == "quantized_relu":
        return quantizer.number("negative_slope") == 0 and not quantizer.flag("use_sigmoid")
    if quantizer.name == "affine":
        return True
    if quantizer.name == "grid":
        plain = not quantizer.flag("odd") and quantizer.integer("parts") == 1
        return quantizer.parameters["rounding"] == "half_even" and plain
    return quantizer.name in ("quantized_bits", "quantized_linear") and not _is_sign(quantizer)


def pull_back(boundary: LevelBoundary, stage: Clip | Leaky | Monotone) -> LevelBoundary:
    """The condition on u that equals the condition on `v = stage(u)`."""
    value = boundary.value
    if value is None:
        return boundary
    if isinstance(stage, Clip):
        return _through_clip(boundary, stage)
    if isinstance(stage, Leaky):
        return boundary if value >= 0 else LevelBoundary(value / stage.slope, boundary.inclusive, boundary.exact)
    found = inverse(stage.function, stage.parameters, value)
    if isinstance(found, bool):
        return ALWAYS if found else NEVER
    return LevelBoundary(found[0], boundary.inclusive, found[1] and boundary.exact)


def rounded(
    low: int, high: int, step: Fraction, origin: Callable[[Fraction], LevelBoundary] | None = None
) -> StepFunction:
    """`clip(round_half_to_even(v / step), low, high)`, of `v = f(u)` where `origin` inverts f."""

    def boundary(level: int) -> LevelBoundary:
        at = _tie(level) * step
        found = LevelBoundary(at, True) if origin is None else origin(at)
        return LevelBoundary(found.value, _reached_at_tie(level), found.exact)

    line = (-step * _HALF, step) if origin is None else None
    return StepFunction(low, high, step, step, boundary, line=line)


def _tie(level: int) -> Fraction:
    """Where rounding changes from `level - 1` to `level`."""
    return level - _HALF


def _reached_at_tie(level: int) -> bool:
    """Whether that very point rounds to `level`: it does if `level` is even."""
    return level % 2 == 0


def _float32(value: float) -> Fraction:
    return Fraction(float(np.float32(value)))


def _is_sign(quantizer: Quantizer) -> bool:
    return quantizer.integer("bits") == 1 and quantizer.flag("keep_negative")


def _alpha(quantizer: Quantizer) -> Fraction:
    alpha = quantizer.parameters["alpha"]
    return Fraction(1) if alpha is None else _float32(float(alpha))


def _relu(quantizer: Quantizer) -> StepFunction:
    slope = Fraction(quantizer.number("negative_slope"))
    bits = quantizer.integer("bits") - (slope != 0)
    levels = 2**bits
    low = -slope * levels  # of v / step
    high, step = levels - 1, Fraction(2) ** (quantizer.integer("integer") - bits)
    bound = Fraction(quantizer.number("relu_upper_bound"))
    if bound and not quantizer.flag("is_quantized_clip"):
        high = min(high, int(bound / step))
    if low.denominator != 1:
        return _shallow_relu(quantizer, slope, step, high, low.denominator)
    if quantizer.flag("use_sigmoid"):
        return StepFunction(int(low), high, step, step, partial(_sigmoid_relu_boundary, levels, slope, step))

    def boundary(level: int) -> LevelBoundary:
        # QKeras rounds slope * v / step below zero.
        return LevelBoundary(_tie(level) * (step if level > 0 else step / slope), _reached_at_tie(level))

    return StepFunction(int(low), high, step, step, boundary, line=None if slope else (-step * _HALF, step))


def _shallow_relu(quantizer: Quantizer, slope: Fraction, step: Fraction, high: int, parts: int) -> StepFunction:
    """A slope so small that QKeras clips below zero at 1 / `parts` of a step: below zero there is one value, and 0.

    The levels count these parts, so those above zero are multiples of `parts`, and the others never occur.
    """
    assert not quantizer.flag("use_sigmoid")  # the import has refused it

    def boundary(level: int) -> LevelBoundary:
        coarse = -(-level // parts)
        return LevelBoundary(_tie(coarse) * (step if coarse > 0 else step / slope), _reached_at_tie(coarse))

    return StepFunction(-1, high * parts, step / parts, step, boundary)


def _sigmoid_relu_boundary(levels: int, slope: Fraction, step: Fraction, level: int) -> LevelBoundary:
    """`use_sigmoid`, where QKeras counts in steps of two.

    With p = (v / step + levels) / 2 the level is 2 * round(p) - levels above zero, at most levels - 1, and below
    2 * round(slope * p) - slope * levels.
    """
    factor = 1 if level > 0 else slope
    half = math.ceil((level + factor * levels) / Fraction(2))
    return LevelBoundary((2 * _tie(half) / factor - levels) * step, _reached_at_tie(half))


def _bits(quantizer: Quantizer) -> StepFunction:
    if _is_sign(quantizer):
        return _sign(-1, _alpha(quantizer))
    low, high, step = _signed_levels(quantizer)
    steps = rounded(low, high, step)
    return StepFunction(low, high, step * _alpha(quantizer), step, steps.boundary, line=steps.line)


def _linear(quantizer: Quantizer) -> StepFunction:
    low, high, step = _signed_levels(quantizer)
    step *= _alpha(quantizer)
    return _sign(-1, step / 2) if _is_sign(quantizer) else rounded(low, high, step)


def _signed_levels(quantizer: Quantizer) -> tuple[int, int, Fraction]:
    """(lowest level, highest level, step) of quantized_bits and quantized_linear."""
    negative = quantizer.flag("keep_negative")
    m = 2 ** (quantizer.integer("bits") - negative)
    low = -m + quantizer.flag("symmetric") if negative else 0
    return low, m - 1, Fraction(2) ** quantizer.integer("integer") / m


def _sigmoid(quantizer: Quantizer) -> StepFunction:
    assert quantizer.flag("use_real_sigmoid")
    m = 2 ** quantizer.integer("bits")
    return rounded(int(quantizer.flag("symmetric")), m - 1, Fraction(1, m), _reached_by("sigmoid"))


def _tanh(quantizer: Quantizer) -> StepFunction:
    assert quantizer.flag("use_real_tanh")
    m = 2 ** (quantizer.integer("bits") - 1)
    return rounded(-m + quantizer.flag("symmetric"), m - 1, Fraction(1, m), _reached_by("tanh"))


def _ternary(quantizer: Quantizer) -> StepFunction:
    threshold = _float32(quantizer.number("threshold") or 0.33)
    edges = {0: LevelBoundary(-threshold, False), 1: LevelBoundary(threshold, True)}
    return StepFunction(-1, 1, _alpha(quantizer), 2 * threshold, edges.__getitem__)


def _binary(quantizer: Quantizer) -> StepFunction:
    return _sign(0 if quantizer.flag("use_01") else -1, _alpha(quantizer))


def _sign(low: int, step: Fraction) -> StepFunction:
    """`low` below zero, 1 from zero on (QKeras's sign of 0 is +1); level 0 of -1, 0, 1 never occurs."""
    return StepFunction(low, 1, step, step, lambda level: LevelBoundary(Fraction(0), True))


def _affine(quantizer: Quantizer) -> StepFunction:
    low, high, scale = quantizer.integer("low"), quantizer.integer("high"), Fraction(str(quantizer.parameters["scale"]))
    # Half is rounded up, as by an offset and a shift; half to even would need thresholds where scales have few bits.
    return StepFunction(
        low, high, scale, scale, lambda level: LevelBoundary((level - _HALF) * scale, True), half_up=True,
        line=(-scale * _HALF, scale),
    )  # fmt: skip


def _grid(quantizer: Quantizer) -> StepFunction:
    low, high, scale = quantizer.integer("low"), quantizer.integer("high"), Fraction(str(quantizer.parameters["scale"]))
    parts, odd, rounding = quantizer.integer("parts"), quantizer.flag("odd"), str(quantizer.parameters["rounding"])

    def boundary(level: int) -> LevelBoundary:
        at, inclusive = _rounding_boundary(rounding, odd, level)
        if parts == 1:
            return LevelBoundary(at * scale, inclusive)
        # Level k is reached from the first whole number of parts on, which rounding reaches half a part before.
        first = LevelBoundary(at * parts, inclusive).first_integer()
        assert first is not None
        return LevelBoundary(_tie(first) * scale / parts, _reached_at_tie(first))

    first = {"half_even": -_HALF, "half_up": -_HALF, "half_down": -_HALF, "floor": Fraction(0), "ceil": Fraction(-1)}
    line = (first[rounding] * scale, scale) if parts == 1 and rounding in first else None
    return StepFunction(low, high, scale, scale, boundary, line=line)


def _rounding_boundary(rounding: str, odd: bool, level: int) -> tuple[Fraction, bool]:
    """(where rounding reaches `level`, in levels; whether that very number is rounded to it)."""
    away = level > 0  # of zero; a number that rounds up to a level of 0 or below goes towards zero
    return {
        "half_even": (_tie(level), _reached_at_tie(level) != odd),
        "half_up": (_tie(level), away),
        "half_down": (_tie(level), not away),
        "floor": (Fraction(level), True),
        "ceil": (Fraction(level - 1), False),
        "up": (Fraction(level - 1), False) if away else (Fraction(level), True),
        "down": (Fraction(level), True) if away else (Fraction(level - 1), False),
    }[rounding]


def _stated(quantizer: Quantizer) -> StepFunction:
    low, high, scale = quantizer.integer("low"), quantizer.integer("high"), Fraction(str(quantizer.parameters["scale"]))
    return StepFunction(low, high, scale, scale, partial(_stated_boundary, np.float32(float(scale))))


def _stated_boundary(scale: np.float32, level: int) -> LevelBoundary:
    """The first float32 number whose float32 quotient rounds to `level` or more; half goes away from 0."""

    def reaches(v: np.float32) -> bool:
        tie = np.float32(level) - np.float32(0.5)
        return bool(v / scale >= tie if level > 0 else v / scale > tie)

    nearest = np.float32(float((level - _HALF) * Fraction(float(scale))))
    while reaches(nearest):
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    while not reaches(nearest):
        nearest = np.nextafter(nearest, np.float32(np.inf))
    return LevelBoundary(Fraction(float(nearest)), True)


_MAKERS: dict[str, Callable[[Quantizer], StepFunction]] = {
    "quantized_relu": _relu,
    "quantized_bits": _bits,
    "quantized_linear": _linear,
    "quantized_sigmoid": _sigmoid,
    "quantized_tanh": _tanh,
    "ternary": _ternary,
    "binary": _binary,
    "affine": _affine,
    "grid": _grid,
    "stated": _stated,
}


def _reached_by(function: str) -> Callable[[Fraction], LevelBoundary]:
    """The argument where a function reaches a value within its range."""

    def reached(t: Fraction) -> LevelBoundary:
        found = inverse(function, (), t)
        assert not isinstance(found, bool)
        return LevelBoundary(found[0], True, found[1])

    return reached


def _through_clip(boundary: LevelBoundary, clip: Clip) -> LevelBoundary:
    if clip.low is not None and boundary.holds(clip.low):
        return ALWAYS
    if clip.high is not None and not boundary.holds(clip.high):
        return NEVER
    return boundary
