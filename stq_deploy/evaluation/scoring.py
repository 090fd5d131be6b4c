"""Reads and scores a model's outputs: a `Scoring` turns outputs into answers, and answers into scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.scores import (
    Accuracy,
    AnomalyScore,
    ErrorScore,
    LabelScore,
    PlaceScore,
    Score,
    confusion_matrix,
    mismatches,
)
from stq_deploy.network.input_format import InputFormat
from stq_deploy.network.output import Floats, LastStep, OutputFormat, Task
from stq_deploy.network.tensor import TensorType

Answers = npt.NDArray[Any]
"""Answers: int64 classes or labels, (N,) or one per place or label; or float64 values (N, *output shape)."""

VALUES = (Task.REGRESSION, Task.RECONSTRUCTION, Task.ANOMALY)
"""Tasks whose answers are numbers, which differ between executors of different arithmetic."""
_INPUT_AS_TARGET = (Task.RECONSTRUCTION, Task.ANOMALY)


@dataclass(frozen=True)
class Scoring:
    """The reading of one model's outputs on one sample file.

    Attributes:
        task: what the output is.
        output: the output's format.
        input: how samples become the model's input.
        spec: of the network's output tensor; None for a Keras model.
        notes: remarks for the user about the task.
    """

    task: Task
    output: OutputFormat
    input: InputFormat
    spec: TensorType | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_classes(self) -> bool:
        """Whether the answers are classes or labels, which are right or wrong."""
        return self.task not in VALUES

    @property
    def classes(self) -> int:
        """Number of classes (or labels); 0 where answers are values."""
        if not self.has_classes:
            return 0
        return self.output.channels if self.output.channels > 1 else 2

    @property
    def description(self) -> str:
        """The task and its meaning for this output, in a line."""
        output, count = self.output, self.output.channels
        name = "output" if output.last in (LastStep.LINEAR, LastStep.SIGN) else str(output.last)
        above = f"where the {name} is above {float(output.limit):g}"
        place = f"the largest of {count} outputs" if count > 1 else f"1 {above}"
        means = {
            Task.CLASSES: f"the largest of {count} outputs is the class",
            Task.BINARY: f"class 1 {above}",
            Task.LABELS: f"each of {count} outputs is a label, yes {above}",
            Task.PLACES: f"a class at each of {' x '.join(map(str, output.places))} places, {place}",
            Task.REGRESSION: "the outputs are numbers, compared with the targets",
            Task.RECONSTRUCTION: "the output is compared with the input",
            Task.ANOMALY: "the error of the reconstructed input tells the samples labelled 1 from the others",
        }
        return f"{self.task}: {means[self.task]}"

    def answers(self, values: npt.NDArray[np.floating[Any]]) -> Answers:
        """Answers of the model's real outputs (N, *output shape)."""
        shaped = values.reshape(len(values), *self.output.shape)
        if not self.has_classes:
            return shaped.astype(np.float64)
        if self._by_largest:
            return self._largest(shaped)
        return self._yes(shaped.astype(np.float64) > float(self.output.limit))

    def answers_of_levels(self, levels: npt.NDArray[Any]) -> Answers:
        """Answers of the network's output levels (N, any shape of as many): by comparisons of integers."""
        assert self.spec is not None, "only a network has levels"
        if not self.has_classes:
            return self.output.values(levels, self.spec)
        if self._by_largest:
            return self._largest(levels.reshape(len(levels), *self.output.shape))
        return self._yes(self.output.above(levels, self.spec))

    def score(self, answers: Answers, samples: SampleSet) -> Score | None:
        """The score of the answers (N, ...) to the samples; None where the samples lack what it needs."""
        if self.task in _INPUT_AS_TARGET:
            inputs = self.input.model_values(samples.x, features=samples.holds_features)
            targets: Floats = inputs.astype(np.float64).reshape(answers.shape)
            if self.task is Task.ANOMALY and samples.y is not None:
                return AnomalyScore.of(answers, targets, samples.y.astype(np.int64).reshape(len(samples)))
            return ErrorScore.of(answers, targets)
        if samples.y is None:
            return None
        if self.task is Task.REGRESSION:
            return ErrorScore.of(answers, samples.y.astype(np.float64).reshape(answers.shape))
        labels = self._labels(samples.y)
        if self.task is Task.PLACES:
            return PlaceScore.of(answers, labels, self.classes)
        return LabelScore.of(answers, labels) if self.task is Task.LABELS else Accuracy.of(answers, labels)

    def truth(self, samples: SampleSet) -> npt.NDArray[np.int64] | None:
        """The labels in the shape of the answers, (N, ...); None without labels, or where answers are values."""
        return None if samples.y is None or not self.has_classes else self._labels(samples.y)

    def confusion(self, answers: Answers, samples: SampleSet) -> npt.NDArray[np.int64] | None:
        """(classes, classes) counts, true class by answer; None without classes or labels, and for several labels."""
        truth = self.truth(samples)
        if truth is None or self.task is Task.LABELS:
            return None
        return confusion_matrix(answers.ravel(), truth.ravel(), self.classes)

    def differing(self, first: Answers, second: Answers) -> npt.NDArray[np.int64] | None:
        """Numbers (M,) of the samples in which two executors' answers differ; None where answers are values."""
        return mismatches(first, second) if self.has_classes else None

    @property
    def _by_largest(self) -> bool:
        return self.task is Task.CLASSES or (self.task is Task.PLACES and self.output.channels > 1)

    def _largest(self, shaped: npt.NDArray[Any]) -> Answers:
        """The index of the largest channel; of equal ones the lowest, everywhere."""
        return np.asarray(np.argmax(shaped, axis=-1), np.int64).reshape(len(shaped), *self.output.places)

    def _yes(self, above: npt.NDArray[np.bool_]) -> Answers:
        shape = {Task.BINARY: (), Task.PLACES: self.output.places}.get(self.task, self.output.shape)
        return above.astype(np.int64).reshape(len(above), *shape)

    def _labels(self, y: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Labels in the shape of the answers, as `evaluation.task` has checked them."""
        shape = {Task.LABELS: self.output.shape, Task.PLACES: self.output.places}.get(self.task, ())
        if self._by_largest and y[0].size == self.output.channels * max(1, int(np.prod(shape))):
            y = np.argmax(y.reshape(len(y), *self.output.shape), axis=-1)  # one-hot
        elif not self._by_largest:
            y = y > 0  # -1 and 1, or 0 and 1
        return y.astype(np.int64).reshape(len(y), *shape)
