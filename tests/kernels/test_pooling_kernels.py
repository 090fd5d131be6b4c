"""Max and average pooling against plain NumPy, over a table of shapes and random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.kernels import kernel_arguments as arguments
from tests.helpers.kernels import requantizations
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary
from tests.helpers.kernels.kernel_settings import PROPERTY
from tests.helpers.kernels.pooling_cases import IN_PLACE, POOLS, TYPES, PoolCase, run_average_pool, run_max_pool


@pytest.mark.parametrize("case", POOLS, ids=str)
def test_pools(library: KernelLibrary, case: PoolCase) -> None:
    run_max_pool(library, case)
    run_average_pool(library, case)


@pytest.mark.parametrize("case", IN_PLACE, ids=str)
def test_pools_may_replace_their_input(library: KernelLibrary, case: PoolCase) -> None:
    run_max_pool(library, case, in_place=True)
    run_average_pool(library, case, in_place=True)


def test_max_pool_of_every_pair_of_levels(library: KernelLibrary) -> None:
    """The packed comparison has signs to get wrong: all 65,536 pairs."""
    a, b = (grid.reshape(-1) for grid in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    output = np.zeros(len(a), np.int8)
    library.call(
        "stq_max_pool_s8",
        arguments.pool_params((1, 2), (1, 2)),
        arguments.dims(1, 2, len(a)),
        np.stack([a, b]).astype(np.int8),
        arguments.dims(1, 1, len(a)),
        output,
    )
    np.testing.assert_array_equal(output, np.maximum(a, b))


@st.composite
def pools(draw: st.DrawFn) -> PoolCase:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    window = pair(1, 4)
    pad, after = ((draw(st.integers(0, window[0] - 1)), draw(st.integers(0, window[1] - 1))) for _ in range(2))
    height, width = (draw(st.integers(max(1, window[i] - pad[i] - after[i]), 8)) for i in range(2))
    return PoolCase(
        (height, width), draw(st.integers(1, 13)), window, pair(1, 3), pad, after,
        input_offset=draw(st.integers(-200, 200)),
        dtype=draw(st.sampled_from(TYPES)),
        form=draw(st.sampled_from(requantizations.FORMS)),
    )  # fmt: skip


@PROPERTY
@given(case=pools())
def test_pools_of_random_shapes(host_libraries: dict[str, HostLibrary], case: PoolCase) -> None:
    for library in host_libraries.values():
        run_max_pool(library, case)
        run_average_pool(library, case)
