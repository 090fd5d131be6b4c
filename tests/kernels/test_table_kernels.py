"""Look-up tables against plain indexing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.kernels.bare_metal import Struct
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK, random_levels

COUNTS = [0, 1, 3, 4, 5, 15, 16, 17, 100]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("in_place", [False, True])
def test_table(library: KernelLibrary, count: int, in_place: bool) -> None:
    rng = np.random.default_rng(count)
    table = rng.integers(-128, 128, 256).astype(np.int8)
    x = random_levels(rng, (count + 1,), "int8", 0)[:count].astype(np.int8)
    expected = [table[int(level) + 128] for level in x]
    output = x if in_place else np.zeros(count, np.int8)
    assert library.call("stq_table_s8", table, count, x, output) == OK
    assert list(output) == expected


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("onto", ["new", "a", "b"])
@pytest.mark.parametrize(
    ("a_minimum", "a_levels", "b_minimum", "b_levels"),
    [
        (-5, 9, 3, 17),
        (0, 16, 0, 16),
        (-8, 16, 5, 7),
        (-128, 16, 112, 16),
        (0, 17, -2, 16),
        (-100, 200, 0, 2),
        (0, 1, 0, 1),
    ],
)
def test_pair_table(
    library: KernelLibrary, count: int, onto: str, a_minimum: int, a_levels: int, b_minimum: int, b_levels: int
) -> None:
    rng = np.random.default_rng(count)
    table = rng.integers(-128, 128, (a_levels, b_levels)).astype(np.int8)
    a = rng.integers(a_minimum, a_minimum + a_levels, count).astype(np.int8)
    b = rng.integers(b_minimum, b_minimum + b_levels, count).astype(np.int8)
    expected = [table[int(x) - a_minimum, int(y) - b_minimum] for x, y in zip(a, b, strict=True)]
    output = {"new": np.zeros(count, np.int8), "a": a, "b": b}[onto]
    params = Struct((a_minimum, b_minimum, b_levels))
    assert library.call("stq_pair_table_s8", params, table, count, a, b, output) == OK
    assert list(output) == expected
