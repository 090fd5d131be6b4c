"""Differences between the answers of two executors: a count of samples, or a size where answers are numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from stq_deploy.evaluation.scoring import Answers, Scoring


@dataclass(frozen=True)
class Predictions:
    """The differences between the network's answers and the float model's.

    Attributes:
        task: how outputs were read: `Scoring.description`.
        samples: how many were compared.
        differing: samples whose answer differs; None where answers are numbers.
        largest, rms: largest and root mean square difference of the numbers; None where answers are classes.
    """

    task: str
    samples: int
    differing: int | None
    largest: float | None = None
    rms: float | None = None

    def __str__(self) -> str:
        if self.differing is not None:
            return f"Predictions that differ from the float model's: {self.differing} of {self.samples}."
        return (
            f"Outputs differ from the float model's by {self.rms:.3g} (root mean square), at most {self.largest:.3g}."
        )

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "task": self.task.split(":")[0],
            "differing_predictions": self.differing,
            "largest_output_difference": self.largest,
            "rms_output_difference": self.rms,
        }


class PredictionTally:
    """Adds up differences batch by batch."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring = scoring
        self._samples = self._differing = self._elements = 0
        self._squares = self._largest = 0.0

    def add(self, network: Answers, model: Answers) -> None:
        """Both (N, ...), answers to the same samples."""
        self._samples += len(network)
        differing = self.scoring.differing(network, model)
        if differing is not None:
            self._differing += len(differing)
            return
        error = np.abs(network - model)
        self._elements += error.size
        self._squares += float(np.square(error).sum())
        self._largest = max(self._largest, float(error.max(initial=0.0)))

    @property
    def result(self) -> Predictions:
        """The totals."""
        task = self.scoring.description
        if self.scoring.has_classes:
            return Predictions(task, self._samples, self._differing)
        rms = math.sqrt(self._squares / max(self._elements, 1))
        return Predictions(task, self._samples, None, self._largest, rms)
