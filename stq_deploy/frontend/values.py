"""The values that a layer's setting or a quantizer's parameter may have: what is checked, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Values:
    """The values that are accepted.

    Attributes:
        shown: for people, as in "set padding to ..." and in docs/SUPPORT.md: "a number from 1 to 16".
        accepts: whether a value, as parsed from JSON, is one of them.
        example: one of them. docs/SUPPORT.md is made by reading every layer with the examples of its settings.
    """

    shown: str
    accepts: Callable[[Any], bool]
    example: Any


def one_of(*values: Any) -> Values:
    """These values only; True is not 1 here, nor False 0."""

    def accepts(value: Any) -> bool:
        return any(value == v and isinstance(value, bool) == isinstance(v, bool) for v in values)

    return Values(" or ".join(repr(v) for v in values), accepts, values[0])


def whole(low: int, high: int) -> Values:
    """An integer."""
    return Values(f"a number from {low} to {high}", lambda v: is_whole(v, low, high), low)


def real(low: float, high: float) -> Values:
    """A finite number."""
    return Values(f"a number from {low:g} to {high:g}", lambda v: is_real(v) and low <= v <= high, high)


def flag() -> Values:
    """True or False."""
    return Values("True or False", lambda v: isinstance(v, bool), True)


def is_whole(value: Any, low: int, high: int) -> bool:
    """Whether it is an integer in [low, high]; True and False are none."""
    return type(value) is int and low <= value <= high


def is_real(value: Any) -> bool:
    """Whether it is a finite number, and an integer one that float64 holds exactly; True and False are none."""
    return (type(value) is float and math.isfinite(value)) or is_whole(value, -(2**53), 2**53)
