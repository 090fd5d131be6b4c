"""Cases for the noise kernel, and a function that runs one and compares its bytes with NumPy's."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from stq_deploy.network.noise import add_noise, gaussian_levels, noise_table
from tests.helpers.kernels.bare_metal import Struct
from tests.helpers.kernels.kernel_library import KernelLibrary
from tests.helpers.kernels.weighted_cases import OK

TYPES = {"int8": 0, "int16": 1, "int32": 2}
FULL = (1 << 64) - 1


@dataclass(frozen=True)
class NoiseCase:
    """Type of the levels, seed and counter, standard deviation, and how many elements."""

    dtype: str
    key: tuple[int, int]
    sigma: float
    count: int


NOISES = [
    NoiseCase(dtype, key, sigma, count)
    for dtype, key, (sigma, count) in itertools.product(
        TYPES,
        [(0, 0), (1, 1), (FULL, FULL), (1 << 33, 5), (17, 1 << 40)],
        [(0.0, 5), (0.4, 1), (2.55, 3), (5.1, 4), (12.75, 1024), (256.0, 4099)],
    )
]


def noise_params(seed: int, sigma: float, dtype: str, bounds: tuple[int, int]) -> Struct:
    """The kernel's parameters; words beyond 31 bits stay unsigned."""
    thresholds = noise_table(sigma).thresholds
    return Struct((seed & 0xFFFFFFFF, seed >> 32, *bounds, TYPES[dtype], len(thresholds), thresholds))


def counter_words(counter: int) -> np.ndarray:
    """The kernel's counter: uint32 (2,), the low word first."""
    return np.array([counter & 0xFFFFFFFF, counter >> 32], np.uint32)


def run_noise(library: KernelLibrary, case: NoiseCase, in_place: bool) -> None:
    info = np.iinfo(case.dtype)
    bounds = (max(int(info.min), -(1 << 30)), min(int(info.max), 1 << 30))
    levels = np.random.default_rng(case.count).integers(*bounds, case.count, endpoint=True).astype(case.dtype)
    levels[0] = bounds[0]
    levels[-1] = bounds[1]
    noise = gaussian_levels(*case.key, (case.count,), case.sigma)
    expected = add_noise(levels, noise, *bounds).astype(case.dtype)
    output = levels if in_place else np.zeros_like(levels)
    seed, counter = case.key
    params = noise_params(seed, case.sigma, case.dtype, bounds)
    assert library.call("stq_noise", params, counter_words(counter), case.count, levels, output) == OK
    assert output.tobytes() == expected.tobytes()
