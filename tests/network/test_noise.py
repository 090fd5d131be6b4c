"""Seeded noise: the generator against published answers, the distribution against the normal one, and its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network.noise import MAX_SIGMA, add_noise, gaussian_batch, gaussian_levels, noise_table, philox

# Known answers of Philox4x32-10, from the generator's authors (Random123, kat_vectors).
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
SIGMAS = [0.3, 1.0, 2.55, 5.1, 12.75, 30.6]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_generator_gives_the_published_answers(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    words = philox([np.asarray([c], np.uint64) for c in counter], key)
    assert tuple(int(word[0]) for word in words) == expected


@pytest.mark.parametrize("sigma", SIGMAS)
def test_probabilities_are_those_of_a_rounded_normal_number(sigma: float) -> None:
    """Against the C library's erf, an independent path."""
    table = noise_table(sigma)
    for j, threshold in enumerate(table.thresholds, 1):
        assert abs(threshold / 2**31 - math.erf((j - 0.5) / sigma / math.sqrt(2))) <= 2**-32 + 1e-15
    assert 1 - math.erf((table.largest + 0.5) / sigma / math.sqrt(2)) <= 2**-32
    assert (np.diff(table.thresholds.astype(np.int64)) >= 0).all()


@pytest.mark.parametrize("sigma", SIGMAS)
def test_error_is_the_distance_of_all_probabilities(sigma: float) -> None:
    table = noise_table(sigma)

    def within(j: float) -> float:
        return math.erf(j / sigma / math.sqrt(2))

    drawn = np.diff([0, *table.thresholds.astype(float), 2.0**31]) / 2**31
    normal = [within(0.5), *(within(j + 0.5) - within(j - 0.5) for j in range(1, table.largest + 1))]
    tail = 1 - within(table.largest + 0.5)
    distance = (np.abs(drawn - normal).sum() + tail) / 2
    assert table.error == pytest.approx(distance, abs=1e-13)
    assert table.error < 1e-7


@pytest.mark.parametrize("sigma", SIGMAS)
def test_drawn_noise_has_the_moments_and_no_bias(sigma: float) -> None:
    noise = gaussian_batch(5, range(200), (32, 32, 1), sigma).astype(np.float64)
    count = noise.size
    variance = sigma**2 + 1 / 12 if sigma >= 1 else noise.var()  # Sheppard's correction, near enough from sigma 1 on
    assert abs(noise.mean()) < 5 * math.sqrt(variance / count)
    assert noise.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / count))
    flat = noise.reshape(-1)
    assert abs((flat[1:] * flat[:-1]).mean()) < 5 * variance / math.sqrt(count)
    assert abs((noise[1:] * noise[:-1]).mean()) < 5 * variance / math.sqrt(count)


def test_a_sample_alone_is_the_sample_in_a_batch() -> None:
    counters = [0, 7, 1 << 32, (1 << 64) - 1]
    batch = gaussian_batch(1 << 40, counters, (3, 5), 9.0)
    for counter, noise in zip(counters, batch, strict=True):
        assert (gaussian_levels(1 << 40, counter, (3, 5), 9.0) == noise).all()
    assert len({noise.tobytes() for noise in batch}) == len(counters)


def test_seed_and_counter_count_with_all_their_bits() -> None:
    numbers = [0, 1, 1 << 31, 1 << 32, 1 << 63]
    drawn = {gaussian_levels(seed, counter, (64,), 20.0).tobytes() for seed in numbers for counter in numbers}
    assert len(drawn) == len(numbers) ** 2


def test_a_larger_sample_begins_like_a_smaller_one() -> None:
    long = gaussian_levels(3, 4, (101,), 5.1)
    for count in (0, 1, 3, 4, 5, 100):
        assert (gaussian_levels(3, 4, (count,), 5.1) == long[:count]).all()


def test_no_noise_at_sigma_zero() -> None:
    assert not gaussian_levels(3, 4, (50,), 0.0).any()
    assert noise_table(0.0).error == 0


def test_golden_stream() -> None:
    """What a device with these bytes in its flash would draw: must never change."""
    assert gaussian_levels(17, 3, (12,), 12.75).tolist() == GOLDEN


def test_sum_stays_within_the_type() -> None:
    levels = np.asarray([-128, -128, 0, 127], np.int8)
    assert add_noise(levels, np.asarray([-5, 5, 2, 9], np.int32), -128, 127).tolist() == [-128, -123, 2, 127]


@pytest.mark.parametrize("sigma", [-1.0, MAX_SIGMA + 1, math.nan, math.inf])
def test_impossible_deviation(sigma: float) -> None:
    with pytest.raises(StqError, match="standard deviation"):
        gaussian_levels(0, 0, (4,), sigma)


@pytest.mark.parametrize(("seed", "counter"), [(-1, 0), (1 << 64, 0), (0, -1), (0, 1 << 64)])
def test_impossible_seed_or_counter(seed: int, counter: int) -> None:
    with pytest.raises(StqError, match="not possible for noise"):
        gaussian_levels(seed, counter, (4,), 1.0)


GOLDEN = [-8, 26, 19, 16, 0, -8, 11, -12, -18, -9, 6, -12]
