"""Random noise defense (RND, Qin et al. 2021): a network answers every query on an input with fresh noise.

The noise is that of `network.noise`: whole levels of the network's input, clamped to its type. The authors add real
noise that they do not clip. An attacker may average `eot` answers to each question (expectation over transformation,
Athalye et al. 2018). The attack succeeds where the answer it sees, noisy or averaged, is wrong. The accuracy that
counts is measured afterwards, with draws that the attack has not seen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.network.input_format import InputFormat, Levels
from stq_deploy.network.noise import InputNoise, noise_table
from stq_deploy.research.attacks.grid import Samples
from stq_deploy.research.attacks.oracle import Labels, Oracle
from stq_deploy.research.attacks.streams import Index
from stq_deploy.research.attacks.victim import Victim

NAME = "rnd"
FRESH_DRAWS = 5
MOST_EOT = 1000

ClassifyLevels = Callable[[Levels], Labels]
"""A network: input levels (N, *shape) -> classes (N,)."""


@dataclass(frozen=True)
class RandomNoise:
    """The defense, and the attacker's averaging.

    Attributes:
        sigma: standard deviation of the noise, in levels of the network's input.
        eot: answers that the attacker averages for each question.
    """

    sigma: float
    eot: int = 1

    @classmethod
    def from_text(cls, text: str, eot: int = 1) -> RandomNoise:
        """From `rnd:SIGMA`.

        Raises:
            StqError: another defense, or an impossible number.
        """
        name, _, number = text.partition(":")
        try:
            sigma = float(number)
        except ValueError:
            sigma = float("nan")
        if name != NAME or not sigma > 0:
            raise StqError(
                f"there is no defense {text!r}",
                where="--defence",
                next=f"write {NAME}:SIGMA, the noise in levels of the input; {NAME}:2.55 is 0.01 of the pixels' range",
            )
        noise_table(sigma)  # refuses a sigma that is too large
        if not 1 <= eot <= MOST_EOT:
            raise StqError(f"{eot} answers cannot be averaged", where="--eot", next=f"choose 1 to {MOST_EOT}")
        return cls(sigma, eot)

    def around(
        self,
        victim: Victim,
        format: InputFormat,
        seeds: Sequence[int],
        numbers: Sequence[int] | npt.NDArray[np.int64],
        *,
        features: bool = False,
    ) -> NoisyVictim:
        """The victim as the attacker sees it.

        Args:
            seeds: whole numbers that decide the noise: another sequence gives other noise.
            numbers: (N,) the samples' places in their file. A sample's noise depends on its own number and on how many
                questions were asked about it, not on the samples beside it.
        """
        seed = int(np.random.SeedSequence(list(seeds)).generate_state(1, np.uint64)[0])
        return NoisyVictim(victim, format, InputNoise(self.sigma, seed), self.eot, numbers, features=features)

    def fresh(
        self, classify: ClassifyLevels, levels: Levels, format: InputFormat, seed: int, numbers: npt.NDArray[np.int64]
    ) -> Labels:
        """Classes (D, N) under `FRESH_DRAWS` draws that no attack has seen.

        Draw d is what `evaluate --noise SIGMA --noise-seed SEED` scores as draw d: sample i of a file has the counter
        d * 2^32 + i.

        Args:
            levels: (N, *shape) input levels.
            numbers: (N,) the samples' places in their file.
        """
        noise = InputNoise(self.sigma, seed)
        counters = [(draw << 32) + numbers.astype(np.uint64) for draw in range(FRESH_DRAWS)]
        return np.stack([classify(noise.at(levels, format.type, one)) for one in counters])

    def to_json(self) -> dict[str, Any]:
        """For records."""
        return {"name": NAME, "sigma_levels": self.sigma, "eot": self.eot, "fresh_draws": FRESH_DRAWS}


class NoisyVictim(Oracle):
    """A victim with fresh noise in every answer.

    Logits, losses and gradients are means over `eot` draws. Answer t about the sample with number n has the counter
    t * 2^32 + n. Without a call of `of`, the questions are about the batch's samples from the first on.

    Args:
        numbers: (N,) places of the batch's samples in their file.
    """

    def __init__(
        self,
        victim: Victim,
        format: InputFormat,
        noise: InputNoise,
        eot: int,
        numbers: Sequence[int] | npt.NDArray[np.int64],
        *,
        features: bool,
    ) -> None:
        self._victim, self._format, self._noise = victim, format, noise
        self._eot, self._features = eot, features
        self.classes, self.shape, self.grid = victim.classes, victim.shape, victim.grid
        self._numbers = np.asarray(numbers, np.uint64)
        self._answers = np.zeros(len(self._numbers), np.uint64)
        self._samples: Index | None = None

    def of(self, samples: Index) -> NoisyVictim:
        """See `Oracle.of`; the numbers of answers so far are shared."""
        view = copy.copy(self)
        view._samples = samples
        return view

    def logits(self, x: Samples) -> npt.NDArray[np.float32]:
        """Mean logits (N, K) of samples (N, *shape)."""
        answers = [self._victim.logits(self._noisy(x)) for _ in range(self._eot)]
        return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)

    def gradient(
        self, x: Samples, y: Labels, loss: str, targets: Labels | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Means of the results of `Victim.gradient`: (N, K), (N,) and (N, *shape). Noise and rounding to levels pass
        the gradient straight through.
        """
        answers = [self._victim.gradient(self._noisy(x), y, loss, targets) for _ in range(self._eot)]
        logits, losses, gradients = (
            np.asarray(np.mean(column, axis=0, dtype=np.float64), np.float32) for column in zip(*answers, strict=True)
        )
        return logits, losses, gradients

    def _noisy(self, x: Samples) -> Samples:
        """Samples that become the noisy levels."""
        samples = np.arange(len(x)) if self._samples is None else self._samples
        turns = self._answers[samples] + _earlier(samples)
        np.add.at(self._answers, samples, np.uint64(1))
        counters = (turns << np.uint64(32)) + self._numbers[samples]
        levels = self._format.levels(self._format.model_values(x, features=self._features))
        noisy = self._noise.at(levels, self._format.type, counters)
        return self._format.values(noisy) if self._features else self._format.samples(noisy)


def _earlier(samples: Index) -> npt.NDArray[np.uint64]:
    """How often each entry (M,) occurs before its own place."""
    order = np.argsort(samples, kind="stable")
    ordered = samples[order]
    found = np.empty(len(samples), np.uint64)
    found[order] = np.arange(len(samples)) - np.searchsorted(ordered, ordered)
    return found
