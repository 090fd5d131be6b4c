"""`linf:N`: every value of the picture moved independently by up to N levels; bounded, because it cannot be enumerated.

A sample that the bounds do not prove is undecided: it need not have a counterexample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.progress import Progress, silent
from stq_deploy.evaluation.certificates.bounds import Interval, propagate
from stq_deploy.evaluation.certificates.margins import only_class
from stq_deploy.evaluation.scores import Accuracy, Classes
from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.network import Network
from stq_deploy.network.input_format import quantize_input
from stq_deploy.network.output import Task

BATCH = 8
"""Samples bounded together."""
NAME = "linf"


@dataclass(frozen=True)
class Bounded:
    """The result for one sample.

    Attributes:
        label: true class.
        proved: every picture within the bound is classified as `label`.
        found: class of the unchanged picture.
    """

    label: int
    proved: bool
    found: int


@dataclass(frozen=True)
class BoundCertificate:
    """A bound, sample by sample.

    Attributes:
        family: as given.
        eps: levels that each value moves at most.
    """

    family: str
    eps: int
    outcomes: tuple[Bounded, ...]

    @property
    def proved(self) -> Accuracy:
        """Samples proved, of all."""
        return Accuracy(sum(one.proved for one in self.outcomes), len(self.outcomes))

    @property
    def right(self) -> int:
        """Samples whose unchanged picture is classified right."""
        return sum(one.found == one.label for one in self.outcomes)

    @property
    def vacuous(self) -> bool:
        """Whether the bounds prove nothing for this network."""
        return self.right > 0 and self.proved.correct == 0

    def to_json(self) -> dict[str, Any]:
        """For --json and the certificate's file."""
        return {
            "family": self.family,
            "method": "interval bounds",
            "proved": self.proved.to_json(),
            "right": self.right,
            "vacuous": self.vacuous,
            "samples": [vars(one) for one in self.outcomes],
        }

    def __str__(self) -> str:
        text = f"{self.family}: {self.proved} proved by interval bounds, {self.right} right unchanged"
        if self.vacuous:
            text += (
                ". Vacuous: the bounds prove nothing of this network, which says nothing of its robustness; "
                "they need a network that was trained for them"
            )
        return text


def parse_linf(text: str) -> int | None:
    """The levels of a text such as `linf:1`; None for any other text."""
    name, _, argument = text.strip().partition(":")
    known = name == NAME and argument.isdecimal() and len(argument) < 4 and int(argument) <= 255
    return int(argument) if known else None


def prove_linf(
    name: str,
    eps: int,
    network: Network,
    scoring: Scoring,
    x: npt.NDArray[np.uint8],
    y: Classes,
    progress: Progress = silent,
) -> BoundCertificate:
    """Bound the integer network for every sample.

    Args:
        name: of the family, as given.
        eps: levels, 0 .. 255.
        x: (N, H, W, C) pictures.
        y: (N,) true classes.
    """
    outcomes: list[Bounded] = []
    progress(f"bounding {name}", 0, len(x))
    for start in range(0, len(x), BATCH):
        own, labels = x[start : start + BATCH], y[start : start + BATCH]
        proved = _proved(eps, network, scoring, own, labels)
        found = _classes(network, scoring, own)
        outcomes += [
            Bounded(int(label), bool(sure), int(seen)) for label, sure, seen in zip(labels, proved, found, strict=True)
        ]
        progress(f"bounding {name}", len(outcomes), len(x))
    return BoundCertificate(name, eps, tuple(outcomes))


def _proved(
    eps: int, network: Network, scoring: Scoring, x: npt.NDArray[np.uint8], labels: Classes
) -> npt.NDArray[np.bool_]:
    wide = x.astype(np.int16)
    ends = [quantize_input(np.clip(wide + step, 0, 255).astype(np.uint8), network.input_format) for step in (-eps, eps)]
    # A level rises or falls with its pixel, whatever the input's rounding.
    bounds = propagate(network, Interval(np.minimum(*ends), np.maximum(*ends)))
    if scoring.task is Task.BINARY:
        logits = bounds[network.outputs[0]]
        answers = [scoring.answers_of_levels(end) for end in (logits.low, logits.high)]
        proved: npt.NDArray[np.bool_] = (answers[0] == labels) & (answers[1] == labels)
        return proved
    return only_class(network, bounds, labels)


def _classes(network: Network, scoring: Scoring, x: npt.NDArray[np.uint8]) -> Classes:
    from stq_deploy.network.reference import run

    levels = run(network, quantize_input(x, network.input_format))
    return np.asarray(scoring.answers_of_levels(levels), np.int64)
