"""From logits to classes, from classes to accuracies, confusion matrices and mismatches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.intervals import wilson_interval

Classes = npt.NDArray[np.int64]
"""(N,) class numbers."""


def classes_of(logits: npt.NDArray[Any]) -> Classes:
    """Predicted classes (N,) of logits (N, K). Integer logits can tie: the lowest index wins, everywhere."""
    return np.asarray(np.argmax(logits, axis=1), np.int64)


@dataclass(frozen=True)
class Accuracy:
    """Top-1: `correct` of `total`, with its 95 % Wilson interval."""

    correct: int
    total: int

    @classmethod
    def of(cls, predictions: Classes, labels: Classes) -> Accuracy:
        """Both (N,)."""
        return cls(int((predictions == labels).sum()), len(labels))

    @property
    def share(self) -> float:
        """0 .. 1; NaN without samples."""
        return self.correct / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.correct, self.total)

    def as_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        low, high = self.interval
        return {
            "correct": self.correct,
            "total": self.total,
            "top1": self.share if self.total else None,
            "wilson95": [low, high],
        }

    def __str__(self) -> str:
        if not self.total:
            return "-"
        low, high = self.interval
        return f"{100 * self.share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def confusion_matrix(predictions: Classes, labels: Classes, classes: int) -> npt.NDArray[np.int64]:
    """(classes, classes) counts; row: true class, column: predicted class."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predictions), 1)
    return counts


def mismatches(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Indices of the samples in which two (N,) or (N, K) arrays differ anywhere."""
    differs = first != second
    if differs.ndim > 1:
        differs = differs.any(axis=tuple(range(1, differs.ndim)))
    return np.flatnonzero(differs).astype(np.int64)
