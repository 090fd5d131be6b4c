"""Randomized smoothing with the integer noise: a class and an L2 radius, each with its confidence.

Cohen, Rosenfeld and Kolter 2019 (arXiv:1902.02918). The smoothed classifier g answers with the class that a base
classifier f gives most often under normal noise: `g(x) = argmax_c P(f(x + e) = c)`, e ~ N(0, sigma^2) in each value.
Where a class has a probability of at least p > 1/2, g gives it everywhere within `sigma * PHI^-1(p)` of x in L2.

Here f takes real numbers, rounds them to integer gray levels, clips those to 0..255, and runs the integer network.
Rounding and clipping belong to f. So the theorem holds unchanged, for every real change of the picture, and for every
other 8-bit picture within the radius.

The draws: a picture holds integers, so rounding `x + e` means adding a rounded normal number.
`stq_deploy.network.noise` draws such numbers, up to a total variation distance for each value, which it states. For a
picture of d values the distance is at most d times that: distances of independent parts add up at most. An event's
probability under the real noise is therefore at least that under the drawn noise minus this distance. We subtract it
before we compute the radius. We assume, and do not prove, that the generator's words are as good as random ones.

The confidence is for one picture: its class and radius are right with that probability. The draws that choose the class
are not those that bound its probability, because the bound needs a class chosen beforehand.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, silent
from stq_deploy.evaluation.certificates.binomial import MOST_TRIALS, lower_bound, two_sided
from stq_deploy.evaluation.certificates.families import Picture
from stq_deploy.evaluation.certificates.prove import ClassifyPictures
from stq_deploy.evaluation.scores import Accuracy, Classes
from stq_deploy.network.noise import MAX_SIGMA, add_noise, gaussian_batch, noise_table

CHOOSING = 100
"""Draws that choose the class, before those that bound its probability (the authors' number)."""
CHUNK = 256
"""Draws run together."""
ABSTAINED = -1


@dataclass(frozen=True)
class Settings:
    """The parameters of a certificate.

    Attributes:
        sigma: of the noise, in gray levels, above 0.
        draws: noisy pictures that bound the probability; `CHOOSING` more choose the class.
        confidence: of each picture's class and radius, between 0 and 1.
        seed: of the noise.
    """

    sigma: float
    draws: int
    confidence: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        for good, what, values in (
            (0 < self.sigma <= MAX_SIGMA, f"sigma {self.sigma:g}", f"above 0, at most {MAX_SIGMA:g} levels"),
            (1 <= self.draws <= MOST_TRIALS, f"{self.draws} draws", f"1 to {MOST_TRIALS:,}"),
            (0.5 <= self.confidence < 1, f"confidence {self.confidence:g}", "at least 0.5, below 1"),
            (0 <= self.seed < 1 << 64, f"seed {self.seed}", "0 to 2^64 - 1"),
        ):
            if not good:
                raise StqError(f"{what} is not possible for smoothing", next=f"choose {values}")


@dataclass(frozen=True)
class Smoothed:
    """The result for one sample.

    Attributes:
        label: true class.
        certified: the smoothed classifier's class within the radius; -1: abstained.
        radius: L2, in gray levels; 0 where abstained. Rounded down.
        probability: lower bound of that class's probability under real normal noise; also where abstained.
        count: draws, of those that bound, that gave the chosen class.
        predicted: the class by the test of the largest against the second largest count; -1: abstained.
    """

    label: int
    certified: int
    radius: float
    probability: float
    count: int
    predicted: int


@dataclass(frozen=True)
class SmoothingCertificate:
    """Every sample under one noise."""

    settings: Settings
    distance: float
    """Total variation distance of a picture's drawn noise from the real noise, at most; taken off each probability."""
    outcomes: tuple[Smoothed, ...]

    def within(self, radius: float) -> Accuracy:
        """Number of samples certified as their true class at a radius of at least this many gray levels."""
        sure = [one.certified == one.label and one.radius >= radius for one in self.outcomes]
        return Accuracy(sum(sure), len(sure))

    @property
    def abstained(self) -> int:
        """Number of samples without a certified class."""
        return sum(one.certified == ABSTAINED for one in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """For --json and the certificate's file. Radii are in gray levels."""
        sigma = self.settings.sigma
        return {
            **asdict(self.settings),
            "choosing_draws": CHOOSING,
            "noise_distance": self.distance,
            "certified": self.within(0).to_json(),
            "abstained": self.abstained,
            "within": {f"{part * sigma:g}": self.within(part * sigma).correct for part in (0, 0.5, 1, 2)},
            "samples": [vars(one) for one in self.outcomes],
        }

    def __str__(self) -> str:
        sigma, confidence = self.settings.sigma, self.settings.confidence
        return (
            f"smoothing {sigma:g}: {self.within(0)} certified right, {self.abstained} abstained, "
            f"{self.within(sigma).correct} right within L2 {sigma:g} levels; confidence {confidence:g} each"
        )


def smooth(
    settings: Settings, x: npt.NDArray[np.uint8], y: Classes, classes: int, classify: ClassifyPictures,
    progress: Progress = silent,
) -> SmoothingCertificate:  # fmt: skip
    """Certify the smoothed classifier for every sample.

    The noise of draw j of sample i has the counter i * (draws + `CHOOSING`) + j.

    Args:
        x: (N, H, W, C) pictures.
        y: (N,) true classes.
        classes: how many there are.
    """
    distance = noise_table(settings.sigma).error * int(np.prod(x.shape[1:]))
    outcomes = []
    progress("smoothing", 0, len(x))
    for i, (picture, label) in enumerate(zip(x, y, strict=True)):
        outcomes.append(_certify(settings, distance, i, picture, int(label), classes, classify))
        progress("smoothing", i + 1, len(x))
    return SmoothingCertificate(settings, distance, tuple(outcomes))


def _certify(
    settings: Settings,
    distance: float,
    number: int,
    picture: Picture,
    label: int,
    classes: int,
    classify: ClassifyPictures,
) -> Smoothed:
    first = number * (settings.draws + CHOOSING)
    chosen = int(np.argmax(_counts(settings, picture, first, CHOOSING, classes, classify)))
    counts = _counts(settings, picture, first + CHOOSING, settings.draws, classes, classify)
    probability = max(0.0, lower_bound(int(counts[chosen]), settings.draws, settings.confidence) - distance)
    radius = certified_radius(settings.sigma, probability)
    return Smoothed(
        label,
        chosen if radius > 0 else ABSTAINED,
        radius,
        probability,
        int(counts[chosen]),
        _predicted(counts, settings.confidence),
    )


def certified_radius(sigma: float, probability: float) -> float:
    """`sigma * PHI^-1(p)`, rounded down by a millionth; 0 for p <= 1/2."""
    if probability <= 0.5:
        return 0.0
    return sigma * NormalDist().inv_cdf(min(probability, 1 - 1e-16)) * (1 - 1e-6)


def _predicted(counts: npt.NDArray[np.int64], confidence: float) -> int:
    """Cohen's PREDICT, for the noise as it is drawn: a smoothed classifier in use draws the same."""
    second, largest = np.sort(counts)[-2:].tolist()
    sure = two_sided(largest, largest + second) <= 1 - confidence
    return int(np.argmax(counts)) if sure else ABSTAINED


def _counts(
    settings: Settings, picture: Picture, first: int, draws: int, classes: int, classify: ClassifyPictures
) -> npt.NDArray[np.int64]:
    """Counts of each class as the answer, (classes,), over the draws from counter `first` on."""
    counts = np.zeros(classes, np.int64)
    for start in range(0, draws, CHUNK):
        counters = np.arange(first + start, first + min(start + CHUNK, draws), dtype=np.uint64)
        noise = gaussian_batch(settings.seed, counters, picture.shape, settings.sigma)
        noisy = add_noise(picture[None], noise, 0, 255).astype(np.uint8)
        counts += np.bincount(classify(noisy), minlength=classes)
    return counts
