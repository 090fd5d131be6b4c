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
def test_pair_table(library: KernelLibrary, count: int, onto: str) -> None:
    rng = np.random.default_rng(count)
    a_minimum, a_levels, b_minimum, b_levels = -5, 9, 3, 17
    table = rng.integers(-128, 128, (a_levels, b_levels)).astype(np.int8)
    a = rng.integers(a_minimum, a_minimum + a_levels, count).astype(np.int8)
    b = rng.integers(b_minimum, b_minimum + b_levels, count).astype(np.int8)
    expected = [table[int(x) - a_minimum, int(y) - b_minimum] for x, y in zip(a, b, strict=True)]
    output = {"new": np.zeros(count, np.int8), "a": a, "b": b}[onto]
    params = Struct((a_minimum, b_minimum, b_levels))
    assert library.call("stq_pair_table_s8", params, table, count, a, b, output) == OK
    assert list(output) == expected
