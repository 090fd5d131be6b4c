"""Scores of a model's answers: accuracies, shares, errors, AUC; confusion matrices and mismatches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stq_deploy.common.intervals import wilson_interval

Classes = npt.NDArray[np.int64]
"""(N,) class numbers."""


Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Score(Protocol):
    """The quality of answers. As text: one figure, with its interval if there is one."""

    @property
    def metric(self) -> str:
        """Name of the figure, for a table's head."""
        ...

    @property
    def figure(self) -> float | None:
        """The figure: a share 0 .. 1, an area 0 .. 1 or an error >= 0; None where nothing was scored."""
        ...

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the figure, where its samples are independent."""
        ...

    def to_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        ...


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
    def metric(self) -> str:
        return "top-1"

    @property
    def figure(self) -> float | None:
        return self.share if self.total else None

    @property
    def share(self) -> float:
        """0 .. 1; NaN without samples."""
        return self.correct / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.correct, self.total)

    def to_json(self) -> dict[str, Any]:
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


@dataclass(frozen=True)
class LabelScore:
    """Several labels per sample, each yes or no.

    Attributes:
        whole: samples all of whose labels are right.
        right, total: labels.
        f1: over all labels together; None where neither truth nor answers contain a yes.
    """

    whole: Accuracy
    right: int
    total: int
    f1: float | None

    @classmethod
    def of(cls, answers: Integers, labels: Integers) -> LabelScore:
        """Both (N, ...) of 0 and 1."""
        equal = answers == labels
        both, either = int((answers & labels).sum()), int(answers.sum() + labels.sum())
        whole = Accuracy(int(equal.reshape(len(equal), -1).all(axis=1).sum()), len(labels))
        return cls(whole, int(equal.sum()), equal.size, 2 * both / either if either else None)

    @property
    def metric(self) -> str:
        return "all labels right"

    @property
    def figure(self) -> float | None:
        return self.whole.figure

    @property
    def interval(self) -> tuple[float, float] | None:
        return self.whole.interval

    def to_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        low, high = self.whole.interval
        return {
            "correct": self.whole.correct,
            "total": self.whole.total,
            "all_labels_right": self.figure,
            "wilson95": [low, high],
            "labels_right": self.right,
            "labels": self.total,
            "f1": self.f1,
        }

    def __str__(self) -> str:
        f1 = "" if self.f1 is None else f", F1 {self.f1:.3f}"
        return f"{self.whole}; of the labels {100 * self.right / max(self.total, 1):.1f} %{f1}"


@dataclass(frozen=True)
class PlaceScore:
    """A class at each place of a picture. No interval: the places of a picture are not independent.

    Attributes:
        correct, total: places.
        mean_iou: intersection over union, the mean over the classes that occur in truth or answers.
    """

    correct: int
    total: int
    mean_iou: float

    @classmethod
    def of(cls, answers: Integers, labels: Integers, classes: int) -> PlaceScore:
        """Both (N, *places)."""
        counts = confusion_matrix(answers.ravel(), labels.ravel(), classes)
        both = np.diag(counts)
        either = counts.sum(axis=0) + counts.sum(axis=1) - both
        occurs = either > 0
        return cls(int(both.sum()), int(counts.sum()), float((both[occurs] / either[occurs]).mean()))

    @property
    def metric(self) -> str:
        return "places right"

    @property
    def figure(self) -> float | None:
        return self.correct / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return None

    def to_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        return {
            "correct": self.correct,
            "total": self.total,
            "places_right": self.figure,
            "mean_iou": self.mean_iou,
        }

    def __str__(self) -> str:
        return f"{100 * self.correct / max(self.total, 1):.1f} %, mean IoU {self.mean_iou:.3f}"


@dataclass(frozen=True)
class ErrorScore:
    """The error of real outputs against their targets, over all elements of all samples."""

    mean_squared: float
    mean_absolute: float
    elements: int

    @classmethod
    def of(cls, answers: Floats, targets: Floats) -> ErrorScore:
        """Both (N, ...)."""
        squared = absolute = 0.0
        for answer, target in zip(answers, targets, strict=True):  # sample by sample: pictures are large
            error = answer - target
            squared += float(np.square(error).sum())
            absolute += float(np.abs(error).sum())
        return cls(squared / answers.size, absolute / answers.size, answers.size)

    @property
    def metric(self) -> str:
        return "mean squared error"

    @property
    def figure(self) -> float | None:
        return self.mean_squared

    @property
    def interval(self) -> tuple[float, float] | None:
        return None

    def to_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        return {
            "mean_squared_error": self.mean_squared,
            "root_mean_squared_error": math.sqrt(self.mean_squared),
            "mean_absolute_error": self.mean_absolute,
            "elements": self.elements,
        }

    def __str__(self) -> str:
        return f"{self.mean_squared:.6g}"


@dataclass(frozen=True)
class AnomalyScore:
    """How well the reconstruction error separates samples labelled 1 from those labelled 0.

    Attributes:
        auc: area under the ROC curve; None unless there are samples of both.
        normal, anomalous: how many samples.
        error: of the reconstruction of all of them.
    """

    auc: float | None
    normal: int
    anomalous: int
    error: ErrorScore

    @classmethod
    def of(cls, answers: Floats, targets: Floats, labels: Integers) -> AnomalyScore:
        """Answers and targets (N, ...), labels (N,)."""
        errors = sample_errors(answers, targets)
        return cls(
            area_under_curve(errors, labels), int((labels == 0).sum()), int((labels == 1).sum()),
            ErrorScore.of(answers, targets),
        )  # fmt: skip

    @property
    def metric(self) -> str:
        return "AUC"

    @property
    def figure(self) -> float | None:
        return self.auc

    @property
    def interval(self) -> tuple[float, float] | None:
        return None

    def to_json(self) -> dict[str, Any]:
        """For --json and run.json."""
        return {"auc": self.auc, "normal": self.normal, "anomalous": self.anomalous, **self.error.to_json()}

    def __str__(self) -> str:
        auc = "not defined, one kind of label alone" if self.auc is None else f"{self.auc:.4f}"
        return f"{auc}; mean squared error {self.error}"


def sample_errors(answers: Floats, targets: Floats) -> Floats:
    """Mean squared error of each sample, (N,)."""
    return np.array([np.square(a - t).mean() for a, t in zip(answers, targets, strict=True)], np.float64)


def area_under_curve(scores: Floats, labels: Integers) -> float | None:
    """Area under the ROC curve of scores (N,) for labels (N,) of 0 and 1.

    It is the share of pairs of a sample of each label in which the one labelled 1 has the higher score. A tie counts
    half (Hanley and McNeil 1982). None where a label does not occur.
    """
    low, high = np.sort(scores[labels == 0]), scores[labels == 1]
    if not len(low) or not len(high):
        return None
    below, up_to = np.searchsorted(low, high, side="left"), np.searchsorted(low, high, side="right")
    return float((below + up_to).sum() / (2 * len(low) * len(high)))


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
