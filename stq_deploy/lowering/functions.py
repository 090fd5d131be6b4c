"""Elementwise functions that no rational formula describes: values to any number of digits, inverses, derivatives.

Values are decimals in the precision of the current context. A value at a rational argument is transcendental except
where `known` has it, so that it lies on no boundary between levels: by the Lindemann-Weierstrass theorem for those of
exponentials. For the error function that is not proved; `step_function` refuses what comes too near a boundary.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Decimal = decimal.Decimal
Reals = npt.NDArray[np.floating[Any]]
Parameters = tuple[Fraction, ...]
Inverse = tuple[Fraction, bool] | bool
"""(the argument where a rising function reaches a value, whether it is exact); or True: always, False: never."""

DIGITS = 60
_BEYOND = Decimal(1000)  # exp(-1000) is far below any step
_GUARD_DIGITS = 20
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211707")


@dataclass(frozen=True)
class ElementwiseFunction:
    """A function of one number.

    Attributes:
        value: its value at a decimal number.
        floats: the same of an array, in its precision, as Keras 2 computes it.
        inverse: where it reaches a value; None for a function that also falls.
        third: a bound of the third derivative's magnitude, wherever it exists, for arguments up to the second argument.
        flat: magnitude of the argument from which the value is within 2**-28 of its limit; None if it has none.
        line: from this argument on the value is the argument, and below minus this one constant, within 2**-28; None
            if that does not hold.
        jumps: how much the first and the second derivative jump at 0, at most.
        lowest: the lowest value of any argument, or a bound; None if there is none.
        largest: a bound of all values' magnitude; None if there is none.
        keeps_zero: whether 0 stays 0.
    """

    value: Callable[[Decimal, Parameters], Decimal]
    floats: Callable[[Reals, Parameters], Reals]
    inverse: Callable[[Fraction, Parameters], Inverse] | None
    third: Callable[[Parameters, Fraction], Fraction]
    flat: int | None = None
    line: int | None = None
    jumps: Callable[[Parameters], tuple[Fraction, Fraction]] = lambda _: (Fraction(0), Fraction(0))
    lowest: Callable[[Parameters], Fraction] | None = None
    largest: int | None = None
    keeps_zero: bool = True


def function_value(name: str, parameters: Parameters, v: Fraction) -> Fraction:
    """The value at v, to 60 digits; exact where it is rational."""
    if v == 0 and (FUNCTIONS[name].keeps_zero or name in _AT_ZERO):
        return _AT_ZERO.get(name, Fraction(0))
    if name == "softsign":
        return v / (1 + abs(v))
    if name == "elu" and v > 0:
        return v
    return _sixty(name, v, parameters)


@lru_cache(maxsize=1 << 16)
def _sixty(name: str, v: Fraction, parameters: Parameters) -> Fraction:
    with decimal.localcontext() as context:
        context.prec = DIGITS
        return Fraction(FUNCTIONS[name].value(as_decimal(v), parameters))


@lru_cache(maxsize=1 << 16)
def inverse(name: str, parameters: Parameters, t: Fraction) -> Inverse:
    """Where a rising function reaches t."""
    found = FUNCTIONS[name].inverse
    assert found is not None
    return found(t, parameters)


def function_ends(name: str, parameters: Parameters, ends: tuple[Fraction, Fraction]) -> tuple[Fraction, Fraction]:
    """(least, most) that the values lie between, for arguments between `ends`, which are in either order."""
    function, (low, high) = FUNCTIONS[name], (min(ends), max(ends))
    if function.largest is not None:
        bound = Fraction(function.largest)
        below_zero = high < 0 and function.keeps_zero
        return Fraction(0) if low > 0 else -bound, Fraction(0) if below_zero else bound
    first, last = (function_value(name, parameters, v) for v in (low, high))
    margin = Fraction(1, 2**40)
    if function.inverse is None and function.lowest is not None:
        return min(function.lowest(parameters), first) if low < 0 else first, max(first, last, Fraction(0)) + margin
    return first - margin * abs(first), last + margin * abs(last)


def as_decimal(v: Fraction) -> Decimal:
    """A rational number, rounded to the current context's precision."""
    return Decimal(v.numerator) / v.denominator


# Values


def _sigmoid(x: Decimal, _: Parameters = ()) -> Decimal:
    return 1 / (1 + min(-x, _BEYOND).exp())


def _tanh(x: Decimal, _: Parameters = ()) -> Decimal:
    return 2 * _sigmoid(2 * x) - 1


def _softplus(x: Decimal, _: Parameters = ()) -> Decimal:
    return max(x, Decimal(0)) + (1 + max(-abs(x), -_BEYOND).exp()).ln()


def _elu(x: Decimal, parameters: Parameters) -> Decimal:
    return x if x > 0 else as_decimal(parameters[0]) * (max(x, -_BEYOND).exp() - 1)


def _exponential(x: Decimal, _: Parameters) -> Decimal:
    return max(x, -_BEYOND).exp()


def _softsign(x: Decimal, _: Parameters) -> Decimal:
    return x / (1 + abs(x))


def _swish(x: Decimal, _: Parameters) -> Decimal:
    return x * _sigmoid(x)


def _gelu(x: Decimal, _: Parameters) -> Decimal:
    """x times the normal distribution's share below x: `x * (1 + erf(x / sqrt(2))) / 2`."""
    if abs(x) > 20:  # the share beyond is below 1e-88
        return max(x, Decimal(0))
    with decimal.localcontext() as context:
        # The series alternates, and its largest term is about exp(x**2 / 2).
        context.prec += _GUARD_DIGITS + int(x * x / 4)
        square, term, total, n = x * x / 2, x, x, 0
        while abs(term) > Decimal(10) ** -(context.prec):
            n += 1
            term = -term * square / n
            total += term / (2 * n + 1)
        share = Decimal("0.5") + total / (2 * _PI).sqrt()
    return x * share


def _mish(x: Decimal, _: Parameters) -> Decimal:
    return x * _tanh(_softplus(x))


# Arrays


def _sigmoid_floats(x: Reals, _: Parameters = ()) -> Reals:
    half = x.dtype.type(0.5)
    return np.asarray(half * np.tanh(half * x) + half)  # without overflow


def _softplus_floats(x: Reals, _: Parameters = ()) -> Reals:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _elu_floats(x: Reals, parameters: Parameters) -> Reals:
    return np.where(x > 0, x, x.dtype.type(float(parameters[0])) * np.expm1(np.minimum(x, 0)))


def _gelu_floats(x: Reals, _: Parameters) -> Reals:
    half = x.dtype.type(0.5)
    erf = np.asarray(np.frompyfunc(math.erf, 1, 1)((x * x.dtype.type(math.sqrt(0.5))).astype(np.float64)))
    return np.asarray(half * x * (1 + erf.astype(x.dtype)))


def _mish_floats(x: Reals, _: Parameters) -> Reals:
    return np.asarray(x * np.tanh(_softplus_floats(x)))


# Inverses


def _logarithm(q: Fraction) -> Fraction:
    with decimal.localcontext() as context:
        context.prec = DIGITS
        return Fraction(as_decimal(q).ln())


def _logit(t: Fraction, _: Parameters) -> Inverse:
    if t <= 0 or t >= 1:
        return t <= 0
    return (Fraction(0), True) if t == Fraction(1, 2) else (_logarithm(t / (1 - t)), False)


def _atanh(t: Fraction, _: Parameters) -> Inverse:
    if abs(t) >= 1:
        return t <= -1
    return (t, True) if t == 0 else (_logarithm((1 + t) / (1 - t)) / 2, False)


def _softsign_inverse(t: Fraction, _: Parameters) -> Inverse:
    return t <= -1 if abs(t) >= 1 else (t / (1 - abs(t)), True)


def _elu_inverse(t: Fraction, parameters: Parameters) -> Inverse:
    if t >= 0:
        return t, True
    inside = 1 + t / parameters[0]
    return True if inside <= 0 else (_logarithm(inside), False)


def _exponential_inverse(t: Fraction, _: Parameters) -> Inverse:
    if t <= 0:
        return True
    return (Fraction(0), True) if t == 1 else (_logarithm(t), False)


def _softplus_inverse(t: Fraction, _: Parameters) -> Inverse:
    if t <= 0:
        return True
    with decimal.localcontext() as context:
        context.prec = DIGITS + _GUARD_DIGITS
        x = as_decimal(t)
        return Fraction(x + (1 - (-x).exp()).ln()), False


def _constant(bound: Fraction | int) -> Callable[[Parameters, Fraction], Fraction]:
    return lambda parameters, high: Fraction(bound)


def _exponential_third(parameters: Parameters, high: Fraction) -> Fraction:
    return Fraction(math.ceil(math.exp(min(float(high), 700.0)) * 1.001))


_AT_ZERO = {"sigmoid": Fraction(1, 2), "exponential": Fraction(1)}

FUNCTIONS = {
    "sigmoid": ElementwiseFunction(
        _sigmoid, _sigmoid_floats, _logit, _constant(Fraction(1, 8)), flat=20, largest=1, keeps_zero=False
    ),
    "tanh": ElementwiseFunction(_tanh, lambda x, _: np.tanh(x), _atanh, _constant(2), flat=11, largest=1),
    "softsign": ElementwiseFunction(
        _softsign, lambda x, _: np.asarray(x / (1 + np.abs(x))), _softsign_inverse, _constant(6),
        jumps=lambda _: (Fraction(0), Fraction(4)), largest=1,
    ),
    "elu": ElementwiseFunction(
        _elu, _elu_floats, _elu_inverse, lambda parameters, _: parameters[0], line=24,
        jumps=lambda parameters: (abs(1 - parameters[0]), parameters[0]),
    ),
    "softplus": ElementwiseFunction(
        _softplus, _softplus_floats, _softplus_inverse, _constant(Fraction(1, 10)), line=24, keeps_zero=False
    ),
    "exponential": ElementwiseFunction(
        _exponential, lambda x, _: np.exp(x), _exponential_inverse, _exponential_third, keeps_zero=False
    ),
    "swish": ElementwiseFunction(
        _swish, lambda x, _: np.asarray(x * _sigmoid_floats(x)), None, _constant(Fraction(2, 5)), line=26,
        lowest=lambda _: Fraction(-2785, 10_000),
    ),
    "gelu": ElementwiseFunction(
        _gelu, _gelu_floats, None, _constant(Fraction(4, 5)), line=8, lowest=lambda _: Fraction(-17_000, 100_000)
    ),
    "mish": ElementwiseFunction(
        _mish, _mish_floats, None, _constant(1), line=26, lowest=lambda _: Fraction(-3089, 10_000)
    ),
}  # fmt: skip
"""Every function that a `FunctionNode` may have."""


def is_rising(name: str) -> bool:
    """Whether the function never falls."""
    return FUNCTIONS[name].inverse is not None
