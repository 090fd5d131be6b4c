"""Runs every member of a family on the integer network: a sample is proved, or the first failing member is named.

The integer network is the device's, byte for byte, so a proof here holds for the board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.progress import Progress, silent
from stq_deploy.evaluation.certificates.families import Family, Picture
from stq_deploy.evaluation.scores import Accuracy, Classes

CHUNK = 256
"""Members run together."""

ClassifyPictures = Callable[[npt.NDArray[np.uint8]], Classes]
"""The integer network: pictures (N, H, W, C) -> classes (N,)."""
ClassifyNear = Callable[[Picture], ClassifyPictures]
"""The same network for pictures that differ from one, (H, W, C), in few values."""


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
class FamilyCertificate:
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

    def __str__(self) -> str:
        return f"{self.family}: {self.proved} proved, {self.members:,} pictures run"

    def to_json(self) -> dict[str, Any]:
        """For --json and the certificate's file."""
        return {
            "family": self.family,
            "method": "enumerated",
            "proved": self.proved.to_json(),
            "pictures": self.members,
            "samples": [vars(one) for one in self.outcomes],
        }


def prove(
    name: str,
    family: Family,
    x: npt.NDArray[np.uint8],
    y: Classes,
    classify: ClassifyPictures,
    progress: Progress = silent,
    *,
    near: ClassifyNear | None = None,
) -> FamilyCertificate:
    """Decide the family for every sample.

    Args:
        name: of the family, as given.
        x: (N, H, W, C) pictures.
        y: (N,) true classes.
        near: what runs a local family's members in place of `classify`, which then checks the picture itself and every
            counterexample.

    Raises:
        StqError: `near` and `classify` disagree.
    """
    outcomes = []
    local = near if family.local else None
    progress(f"proving {name}", 0, len(x))
    for picture, label in zip(x, y, strict=True):
        run = local(picture) if local else classify
        outcome, last = _decide(family, picture, int(label), run)
        if local:
            _check_agreement(np.stack([picture, last]), run, classify, name)
        outcomes.append(outcome)
        progress(f"proving {name}", len(outcomes), len(x))
    return FamilyCertificate(name, tuple(outcomes))


def _check_agreement(x: npt.NDArray[np.uint8], first: ClassifyPictures, second: ClassifyPictures, name: str) -> None:
    if not np.array_equal(first(x), second(x)):
        raise StqError(
            "the incremental computation and the executor disagree on a picture's class",
            where=f"family {name}",
            cause="a fault of stq-deploy, or the executor does not run this network",
            next="report it with the model file; --executor numpy runs the reference",
        )


def _decide(family: Family, picture: Picture, label: int, classify: ClassifyPictures) -> tuple[Outcome, Picture]:
    """The outcome, and the counterexample or the last member."""
    members: Iterator[tuple[str, Picture]] = family.members(picture)
    run, last = 0, picture
    while chunk := list(islice(members, CHUNK)):
        found = classify(np.stack([changed for _, changed in chunk]))
        wrong = np.flatnonzero(found != label)
        run += len(chunk)
        if len(wrong):
            first = int(wrong[0])
            return Outcome(label, False, run, chunk[first][0], int(found[first])), chunk[first][1]
        last = chunk[-1][1]
    return Outcome(label, True, run), last
