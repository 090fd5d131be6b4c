"""Gaussian noise on integer levels that host and device draw alike: a number is a function of seed, counter and place.

A word comes from the counter-based generator Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"). Block b of a sample holds the words of elements 4b to 4b + 3. Its key is (seed mod 2^32, seed div 2^32), its
counter (b, counter mod 2^32, counter div 2^32, 0).

The lowest bit of a word is the sign of the noise. The other 31 bits u give its size, the number of thresholds T_j <= u.
T_j is round(2^31 P(|N| < j - 1/2)), with N normal of standard deviation sigma. So the noise is a normal number rounded
to a whole one, cut off where the tail holds less than 2^-32. The thresholds come from decimal arithmetic of 50 digits,
which every computer does alike; the device gets them as a table (`stq_noise` in `firmware_templates/kernels`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.network.tensor import TensorType

NoiseLevels = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint32]

MAX_SIGMA = 256.0
"""Largest standard deviation, in levels: more would destroy 8-bit pixels."""

_SIZES = 1 << 31
_TWO_OVER_PI = Decimal("0.63661977236758134307553505349005744813783858296183")
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True, eq=False)
class NoiseTable:
    """Converts random words to noise of one standard deviation.

    Attributes:
        thresholds: uint32 (T,), ascending and below 2^31; empty for sigma 0.
        error: total variation distance of one element's noise from the rounded normal number, at most. The distance
            for a sample is at most this times its elements.
    """

    thresholds: npt.NDArray[np.uint32]
    error: float

    @property
    def largest(self) -> int:
        """The largest size of the noise, in levels."""
        return len(self.thresholds)

    def levels(self, words: Words) -> NoiseLevels:
        """The noise (int32) of each word."""
        size = np.searchsorted(self.thresholds, words >> np.uint32(1), side="right").astype(np.int32)
        signed: NoiseLevels = np.where(words & np.uint32(1), -size, size).astype(np.int32)
        return signed


@dataclass(frozen=True)
class InputNoise:
    """Fresh noise on the input of a network for every sample: the random noise defense (RND, Qin et al. 2021).

    Attributes:
        sigma: standard deviation, in levels of the input.
        seed: of all draws.
    """

    sigma: float
    seed: int = 0

    def on(
        self, levels: npt.NDArray[np.integer[Any]], spec: TensorType, draw: int = 0, first: int = 0
    ) -> npt.NDArray[np.int64]:
        """Input levels (N, *shape) with noise; sample i has the counter draw * 2^32 + first + i.

        Args:
            spec: of the input; the sums are clamped to its levels.
            draw: 0 to 2^31 - 1; another one is another draw for every sample.
            first: number of the first sample in its file.
        """
        return self.at(levels, spec, sample_counters(len(levels), draw, first))

    def at(
        self, levels: npt.NDArray[np.integer[Any]], spec: TensorType, counters: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.int64]:
        """The same with these counters (N,)."""
        noise = gaussian_batch(self.seed, counters, spec.shape, self.sigma)
        return add_noise(levels, noise, spec.minimum, spec.maximum)


def sample_counters(samples: int, draw: int = 0, first: int = 0) -> npt.NDArray[np.uint64]:
    """The counters (N,) of the samples of a file from number `first` on: draw * 2^32 + first + i."""
    return np.uint64((draw << 32) + first) + np.arange(samples, dtype=np.uint64)


def gaussian_levels(seed: int, counter: int, shape: tuple[int, ...], sigma: float) -> NoiseLevels:
    """Noise for one sample, int32 of this shape; elements are counted in C order.

    Args:
        seed: of the whole run, 0 to 2^64 - 1.
        counter: number of the draw, 0 to 2^64 - 1. Another one gives independent noise.
        sigma: standard deviation in levels, 0 to `MAX_SIGMA`, taken as the shortest decimal that Python prints for it.

    Raises:
        StqError: a number out of its range.
    """
    noise: NoiseLevels = gaussian_batch(seed, [counter], shape, sigma)[0]
    return noise


def gaussian_batch(
    seed: int, counters: Sequence[int] | npt.NDArray[np.integer[Any]], shape: tuple[int, ...], sigma: float
) -> NoiseLevels:
    """Noise for samples with these counters: (N, *shape) int32; row i is `gaussian_levels` of counter i."""
    table = noise_table(sigma)
    elements = int(np.prod(shape, dtype=np.int64))
    words = _words(seed, counters, -(-elements // 4))
    return table.levels(words[:, :elements]).reshape(len(words), *shape)


def add_noise(
    levels: npt.NDArray[np.integer[Any]], noise: NoiseLevels, minimum: int, maximum: int
) -> npt.NDArray[np.int64]:
    """`clip(levels + noise, minimum, maximum)`, int64: the network's input with noise, still levels of its type."""
    noisy: npt.NDArray[np.int64] = np.clip(levels.astype(np.int64) + noise, minimum, maximum)
    return noisy


@lru_cache(maxsize=16)
def noise_table(sigma: float) -> NoiseTable:
    """The table of this standard deviation, in levels.

    Raises:
        StqError: sigma is negative, larger than `MAX_SIGMA` or not a number.
    """
    if not 0 <= sigma <= MAX_SIGMA:
        raise StqError(
            f"noise with a standard deviation of {sigma:g} levels is not possible",
            next=f"choose a number from 0 to {MAX_SIGMA:g}; 0.01 of the pixels' range is 2.55 levels",
        )
    thresholds: list[int] = []
    exact: list[Decimal] = []
    if sigma > 0:
        with localcontext(Context(prec=50)):
            deviation = Decimal(repr(float(sigma)))
            while not thresholds or thresholds[-1] < _SIZES:
                exact.append(_share_within((len(exact) + Decimal("0.5")) / deviation) * _SIZES)
                thresholds.append(int(exact[-1].to_integral_value()))
    return NoiseTable(np.asarray(thresholds[:-1], np.uint32), _total_variation(thresholds, exact))


def _share_within(z: Decimal) -> Decimal:
    """P(|N| < z) of a standard normal N: sqrt(2/pi) z exp(-z^2/2) (1 + z^2/3 + z^4/15 + ...)."""
    if z > 12:
        return Decimal(1)  # to more digits than the context has after 2^31
    square = z * z
    term = total = Decimal(1)
    odd = 1
    while term > total * Decimal("1e-48"):
        odd += 2
        term *= square / odd
        total += term
    return min(Decimal(1), _TWO_OVER_PI.sqrt() * z * (-square / 2).exp() * total)


def _total_variation(thresholds: list[int], exact: list[Decimal]) -> float:
    """Half the sum of the differences of all probabilities; both lists end where the tail begins that is cut off."""
    if not thresholds:
        return 0.0
    with localcontext(Context(prec=50)):
        moved = [Decimal(0), *(threshold - e for threshold, e in zip(thresholds, exact, strict=True))]
        levels = sum((abs(b - a) for a, b in pairwise(moved)), Decimal(0))
        return float((levels + moved[-1]) / (2 * _SIZES)) * (1 + 1e-12)


def _words(seed: int, counters: Sequence[int] | npt.NDArray[np.integer[Any]], blocks: int) -> Words:
    """Random words (N, 4 blocks)."""
    for name, number in (("seed", seed), *(("counter", int(c)) for c in _ends(counters))):
        if not 0 <= int(number) < 1 << 64:
            raise StqError(f"{name} = {number} is not possible for noise", next=f"choose a {name} from 0 to 2^64 - 1")
    if blocks > 1 << 32:
        raise StqError("a sample has too many elements for noise", next="noise takes up to 2^34 elements")
    wide = np.asarray(counters, np.uint64)
    shape = (len(wide), blocks)
    block = np.broadcast_to(np.arange(blocks, dtype=np.uint64)[None], shape)
    low, high = (np.broadcast_to(part[:, None], shape) for part in (wide & _LOW, wide >> _HALF))
    words = philox([block, low, high, np.zeros(shape, np.uint64)], (seed & 0xFFFFFFFF, seed >> 32))
    return np.stack(words, axis=2).astype(np.uint32).reshape(len(wide), 4 * blocks)


def _ends(counters: Sequence[int] | npt.NDArray[np.integer[Any]]) -> tuple[int, ...]:
    return (int(min(counters)), int(max(counters))) if len(counters) else ()


def philox(counter: list[npt.NDArray[np.uint64]], key: tuple[int, int]) -> list[npt.NDArray[np.uint64]]:
    """Philox4x32-10: four counter words (arrays of one shape, each below 2^32) and two key words -> four words."""
    c0, c1, c2, c3 = counter
    for number in range(_ROUNDS):
        k0, k1 = (np.uint64((k + number * step) & 0xFFFFFFFF) for k, step in zip(key, _KEY_STEPS, strict=True))
        first, second = (c * np.uint64(m) for c, m in zip((c0, c2), _MULTIPLIERS, strict=True))
        c0, c1, c2, c3 = (second >> _HALF) ^ c1 ^ k0, second & _LOW, (first >> _HALF) ^ c3 ^ k1, first & _LOW
    return [c0, c1, c2, c3]
