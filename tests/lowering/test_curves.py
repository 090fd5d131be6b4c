"""Tables of sigmoid and tanh: within the error that they state, of the function at 40 digits."""

from __future__ import annotations

import decimal
import math
from fractions import Fraction

import numpy as np
import pytest

from stq_deploy.lowering.curves import CurveArgument, make_curve
from stq_deploy.network.ops import Curve
from stq_deploy.network.tensor import TensorType

CASES = [
    CurveArgument(Fraction(1, 16), Fraction(0), -128, 127),
    CurveArgument(Fraction(1, 7), Fraction(-3, 11), -2047, 2048),
    CurveArgument(Fraction(1, 64), Fraction(1, 3), -2048, 2048),
    CurveArgument(Fraction(-1, 4096), Fraction(1), -90_000, 70_000),
    CurveArgument(Fraction(1, 2**25), Fraction(0), -(20 * 2**25), 20 * 2**25),
    CurveArgument(Fraction(1, 2**20), Fraction(0), -(2**31), 2**31 - 1),
    CurveArgument(Fraction(3), Fraction(500), -(2**20), 2**20),
    CurveArgument(Fraction(1, 2**24), Fraction(100), 0, 2**14),
    CurveArgument(Fraction(0), Fraction(1, 2), -5, 5),
]


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize("step", [Fraction(1, 2**15), Fraction(1, 2**27)])
@pytest.mark.parametrize("argument", CASES, ids=lambda argument: f"{argument.low}..{argument.high}")
def test_the_error_is_bounded(function: str, step: Fraction, argument: CurveArgument) -> None:
    made = make_curve(function, (), argument, step)
    low, high = int(made.table.min()), int(made.table.max())
    x = TensorType((1,), "int32", argument.low, argument.high, 1.0)
    y = TensorType((1,), "int32", low, high, float(step))
    op = Curve("c", ("x",), "y", (), table=made.table, base=made.base, shift=made.shift)
    op.check([x], y)
    rng = np.random.default_rng(1)
    levels = np.concatenate(
        [
            rng.integers(argument.low, argument.high + 1, 150),
            np.clip(rng.integers(-9, 9, 60) + made.base, argument.low, argument.high),
            np.clip(np.round(rng.normal(0, 2, 150) / float(argument.factor or 1)), argument.low, argument.high),
            [argument.low, argument.high],
        ]
    ).astype(np.int64)
    found = op.run([levels], [x], y)
    with decimal.localcontext() as context:
        context.prec = 50
        for level, value in zip(levels.tolist(), found.tolist(), strict=True):
            exact = level * argument.factor + argument.offset
            exponent = -decimal.Decimal(exact.numerator) / exact.denominator * (2 if function == "tanh" else 1)
            e = min(exponent, decimal.Decimal(9999)).exp()
            expected = Fraction(1 / (1 + e)) if function == "sigmoid" else Fraction(2 / (1 + e)) - 1
            assert abs(value * step - expected) <= made.error
    assert made.error <= 2 * step + Fraction(1, 10**7)


def test_few_arguments_have_an_entry_each() -> None:
    made = make_curve("sigmoid", (), CurveArgument(Fraction(1, 8), Fraction(0), -64, 63), Fraction(1, 2**27))
    assert (len(made.table), made.base, made.shift) == (128, -64, 0)
    assert made.error == Fraction(1, 2**28)
    expected = [round(2**27 / (1 + math.exp(-k / 8))) for k in range(-64, 64)]
    assert made.table.tolist() == expected
