"""The largest error of a rounded line, against a look at every integer."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from stq_deploy.lowering.lines import RoundedLine, float_above, largest, largest_error

RATIONAL = st.fractions(-30, 30, max_denominator=12)


@settings(max_examples=500, deadline=None)
@given(
    RATIONAL, RATIONAL, st.integers(-60, 60), st.integers(-90, 90), st.integers(1, 50), st.integers(0, 80)
)  # fmt: skip
def test_largest(a: Fraction, b: Fraction, c: int, d: int, m: int, n: int) -> None:
    assert largest(a, b, c, d, m, n) == max(a * x + b * ((c * x + d) // m) for x in range(n + 1))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_largest_error(data: st.DataObject) -> None:
    line = RoundedLine(*(data.draw(st.integers(-99, 99)) for _ in range(2)), data.draw(st.integers(1, 64)), 3)
    step = data.draw(st.fractions(Fraction(1, 9), 5, max_denominator=9))
    factor, offset = data.draw(RATIONAL), data.draw(RATIONAL)
    low = data.draw(st.integers(-50, 50))
    high = low + data.draw(st.integers(0, 60))
    found = largest_error(line, step, factor, offset, low, high)
    assert found == max(abs(step * line.at(x) - (factor * x + offset)) for x in range(low, high + 1))


def test_a_range_of_32_bits_takes_no_longer() -> None:
    """The largest error of floor(x * 5 / 7) against x * 5 / 7 is 6/7, wherever the range starts."""
    line = RoundedLine(5, 0, 7)
    assert largest_error(line, Fraction(1), Fraction(5, 7), Fraction(0), -(2**31), 2**31 - 1) == Fraction(6, 7)


@given(st.fractions())
def test_float_above(value: Fraction) -> None:
    found = float_above(value)
    assert Fraction(found) >= value
    assert found == float(value) or Fraction(float(value)) < value
