"""Softmax against Python's integers."""

from __future__ import annotations

import pytest

from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.softmax_cases import SIZES, TABLES, TYPES, run_many_channels, run_softmax


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("step", "entries"), TABLES)
def test_softmax(library: KernelLibrary, dtype: str, size: tuple[int, int], step: float, entries: int) -> None:
    run_softmax(library, dtype, size, step, entries)


def test_as_many_channels_as_fit(library: KernelLibrary) -> None:
    run_many_channels(library)
