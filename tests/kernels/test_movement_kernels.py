"""Padding, cropping, upsampling and concatenation against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.movement_cases import (
    CONCATENATIONS,
    CROPS,
    PADS,
    SCATTERS,
    TYPES,
    UPSAMPLES,
    Image,
    Pair,
    Part,
    run_concatenate,
    run_crop,
    run_pad,
    run_scatter,
    run_upsample,
)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "before", "after"), PADS)
def test_pad(library: KernelLibrary, shape: Image, before: Pair, after: Pair, dtype: str) -> None:
    for level in (0, -7, np.iinfo(dtype).min, np.iinfo(dtype).max):
        run_pad(library, shape, before, after, dtype, level)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "before", "size"), CROPS)
def test_crop(library: KernelLibrary, shape: Image, before: Pair, size: Pair, dtype: str, in_place: bool) -> None:
    run_crop(library, shape, before, size, dtype, in_place=in_place)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "size"), UPSAMPLES)
def test_upsample(library: KernelLibrary, shape: Image, size: Pair, dtype: str) -> None:
    run_upsample(library, shape, size, dtype)


@pytest.mark.parametrize(("rows", "parts", "dtype", "output_offset"), CONCATENATIONS)
def test_concatenate(
    library: KernelLibrary, rows: int, parts: tuple[Part, ...], dtype: str, output_offset: int
) -> None:
    run_concatenate(library, rows, parts, dtype, output_offset)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("elements", "places"), SCATTERS, ids=str)
def test_scatter(library: KernelLibrary, elements: int, places: list[int], dtype: str) -> None:
    run_scatter(library, elements, places, dtype)
