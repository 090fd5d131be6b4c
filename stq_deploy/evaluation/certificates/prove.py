"""Run every member of a family on the integer network: a sample is proved, or the first member that fails is named.

The integer network is the device's, byte for byte, so what is proved here is proved for the board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.evaluation.certificates.families import Family, Picture
from stq_deploy.evaluation.scores import Accuracy, Classes
from stq_deploy.progress import Progress, silent

CHUNK = 256
"""Members run together."""

Classify = Callable[[npt.NDArray[np.uint8]], Classes]
"""The integer network: pictures (N, H, W, C) -> classes (N,)."""


@dataclass(frozen=True)
class Outcome:
    """The result for one sample.

    Attributes:
        label: true class.
        proved: every member is classified as `label`.
        members: how many were run; for a sample that is not proved, up to the chunk in which one failed.
        counterexample: the first member that fails; "" if none does.
        taken_for: its class; -1 if none fails.
    """

    label: int
    proved: bool
    members: int
    counterexample: str = ""
    taken_for: int = -1


@dataclass(frozen=True)
class Certificate:
    """A family, sample by sample."""

    family: str
    outcomes: tuple[Outcome, ...]

    @property
    def proved(self) -> Accuracy:
        """Samples proved, of all; the interval is of the share among samples like these."""
        return Accuracy(sum(one.proved for one in self.outcomes), len(self.outcomes))

    @property
    def members(self) -> int:
        """Pictures run in all."""
        return sum(one.members for one in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        """For --json and the certificate's file."""
        return {
            "family": self.family,
            "proved": self.proved.as_json(),
            "pictures": self.members,
            "samples": [vars(one) for one in self.outcomes],
        }


def prove(
    name: str, family: Family, x: npt.NDArray[np.uint8], y: Classes, classify: Classify, progress: Progress = silent
) -> Certificate:
    """Decide the family for every sample.

    Args:
        name: of the family, as given.
        x: (N, H, W, C) pictures.
        y: (N,) true classes.
    """
    outcomes = []
    progress(f"proving {name}", 0, len(x))
    for picture, label in zip(x, y, strict=True):
        outcomes.append(_decide(family, picture, int(label), classify))
        progress(f"proving {name}", len(outcomes), len(x))
    return Certificate(name, tuple(outcomes))


def _decide(family: Family, picture: Picture, label: int, classify: Classify) -> Outcome:
    members: Iterator[tuple[str, Picture]] = family.members(picture)
    run = 0
    while chunk := list(islice(members, CHUNK)):
        found = classify(np.stack([changed for _, changed in chunk]))
        wrong = np.flatnonzero(found != label)
        run += len(chunk)
        if len(wrong):
            first = int(wrong[0])
            return Outcome(label, False, run, chunk[first][0], int(found[first]))
    return Outcome(label, True, run)
