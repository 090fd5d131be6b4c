"""The worst of several attacked files under a noise defense, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stq_deploy.datasets.samples import load_samples
from stq_deploy.evaluation.robustness.run import network_as_attacked
from stq_deploy.research.attacks.defence import RandomNoise

_CHOICE_SEED = 1
"""Draws of this seed choose a sample's file; those of seed 0 measure: a lucky draw is not chosen for its luck."""


def right_under_noise(model: Path, files: Sequence[Sequence[Path]], noise: RandomNoise) -> list[float]:
    """Mean number of samples that stay right under noise, each in the file that is worst for it.

    A search against a noisy network may stop at a lucky answer, and another file then harms more. An attacker who has
    all files sends the worst version of each picture.

    Args:
        files: for each budget the paths of its attacked files, whose samples stand in one order.
        noise: of the defense.

    Returns:
        For each budget the mean over fresh draws.

    Raises:
        StqError: the model or a file cannot be read.
    """
    network = network_as_attacked(model, noise)

    def shares(file: Path, seed: int) -> npt.NDArray[np.float64]:
        """Share of draws (N,) under which each sample is right."""
        samples = load_samples(file)
        assert samples.y is not None
        pixels = np.asarray(samples.x, np.float32) / np.float32(255)
        classes = network.fresh(pixels, np.arange(len(samples)), seed)
        return np.asarray(np.mean(classes == samples.y, axis=0), np.float64)

    means = []
    for of_budget in files:
        chosen = np.argmin([shares(file, _CHOICE_SEED) for file in of_budget], axis=0)
        measured = np.stack([shares(file, 0) for file in of_budget])
        means.append(float(np.take_along_axis(measured, chosen[None], axis=0).sum()))
    return means
