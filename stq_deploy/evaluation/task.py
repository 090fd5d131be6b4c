"""The task of a model's output: from the model's ending, its shape and the samples' labels, or from the user.

If these leave more than one reading, nothing is guessed: the error names the readings, and how to choose one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.network import Network
from stq_deploy.network.input_format import InputFormat
from stq_deploy.network.output import LastStep, OutputFormat, Task
from stq_deploy.network.tensor import TensorType

_UNIT = (LastStep.SOFTMAX, LastStep.SIGMOID)
_WAYS = {
    Task.CLASSES: "the largest output is the class",
    Task.BINARY: "two classes, told apart at --threshold",
    Task.LABELS: "each output is a label",
    Task.PLACES: "a class at each place",
    Task.REGRESSION: "numbers, compared with targets",
    Task.RECONSTRUCTION: "compared with the input",
    Task.ANOMALY: "its error tells samples labelled 1 from those labelled 0",
}


@dataclass(frozen=True)
class Stated:
    """The user's choices about the output; None: no choice."""

    task: Task | None = None
    threshold: float | None = None

    def on(self, network: Network) -> Network:
        """The network with these choices in its metadata, checked.

        Raises:
            StqError: its output cannot be read so, or not as its metadata state.
        """
        if self == Stated():
            return network
        before = network.metadata
        task, threshold = self.task or before.task, before.threshold if self.threshold is None else self.threshold
        stated = replace(network, metadata=replace(before, task=task, threshold=threshold))
        output = stated.output_format
        if output.task is not None:
            _Question(output, stated.input_type.shape).check_possible(output.task)
        return stated


def scoring_of(network: Network, samples: SampleSet | None, stated: Stated | None = None) -> Scoring:
    """The reading of a network's outputs, on these samples or on none; see `choose`."""
    return choose(network.output_format, network.input_format, network.output_type, samples, stated)


def check_attackable(output: OutputFormat) -> None:
    """Check that attacks can decide whether an answer of this output is wrong.

    Raises:
        StqError: it gives no classes.
    """
    unit = output.channels == 1 and output.functions == ("sigmoid",)
    if output.places or not (output.channels > 1 or unit):
        raise StqError(
            f"attacks need a model of classes, this one's output has shape {output.shape} and ends in {output.last}",
            next="attack a model that gives one number per class, or one unit with a sigmoid for two",
        )


def stated_classes(output: OutputFormat, threshold: float | None = None) -> Stated:
    """The reading by which attacks judge: the largest output is the class, or one unit tells two classes apart.

    Args:
        threshold: the user's, of one unit; None: the model's own.

    Raises:
        StqError: a threshold for several outputs, or one that every output is above, or none.
    """
    if output.channels > 1:
        if threshold is not None:
            raise StqError(
                f"--threshold tells two classes of one output apart, and this model has {output.channels} outputs",
                next="leave --threshold out",
            )
        return Stated(Task.CLASSES)
    if threshold is not None and isinstance(replace(output, threshold=threshold).limit_before_functions, float):
        raise StqError(
            f"no output lies on both sides of --threshold {threshold:g}",
            cause="a sigmoid gives numbers between 0 and 1",
            next="choose a threshold between them, such as 0.5",
        )
    return Stated(Task.BINARY, threshold)


def logit_limit(output: OutputFormat, threshold: float | None = None) -> float:
    """The logit above which one unit says class 1, as the largest float32 that is not above it; 0 of several outputs.

    A float32 logit exceeds the limit exactly where it exceeds this number.

    Raises:
        StqError: as `stated_classes`.
    """
    stated = stated_classes(output, threshold)
    if stated.task is Task.CLASSES:
        return 0.0
    limit = (output if threshold is None else replace(output, threshold=threshold)).limit_before_functions
    below = np.float32(float(limit))
    return float(below if Fraction(float(below)) <= limit else np.nextafter(below, np.float32(-np.inf)))


def choose(
    output: OutputFormat,
    input: InputFormat,
    spec: TensorType | None,
    samples: SampleSet | None,
    stated: Stated | None = None,
) -> Scoring:
    """The reading of outputs; the samples' labels are checked against it.

    Args:
        spec: see `Scoring`.
        samples: None: outputs are compared between executors, and not scored.
        stated: by the user now; it overrides the choice at conversion.

    Raises:
        StqError: several readings are possible, the stated one does not fit, or the model cannot give these labels.
    """
    stated = stated or Stated()
    if stated.threshold is not None:
        output = replace(output, threshold=stated.threshold)
    task = stated.task or output.task
    y = None if samples is None else samples.y
    question = _Question(output, input.type.shape)
    if task is None:
        task = question.unlabelled() if y is None else question.derived(y)
    else:
        question.check_possible(task)
    if y is not None:
        question.check_labels(task, y)
    scoring = Scoring(task, output, input, spec)
    return replace(scoring, notes=tuple(_notes(scoring, samples)))


def _notes(scoring: Scoring, samples: SampleSet | None) -> list[str]:
    notes = []
    if scoring.output.count > 1:
        notes.append(f"the model has {scoring.output.count} outputs; the first is scored")
    if samples is None:
        return notes
    if scoring.task is Task.RECONSTRUCTION and samples.y is not None:
        notes.append("the samples' labels are not used")
    names = samples.class_names
    if scoring.has_classes and names is not None and len(names) != scoring.classes:
        notes.append(
            f"the samples name {len(names)} classes, the network has {scoring.classes}: their names are left out"
        )
    return notes


@dataclass(frozen=True)
class _Question:
    """A model's output and its input's shape."""

    output: OutputFormat
    input_shape: tuple[int, ...]

    @property
    def _is_vector(self) -> bool:
        return not self.output.places

    @property
    def _like_input(self) -> bool:
        return self.output.shape == self.input_shape

    def unlabelled(self) -> Task:
        """The reading without labels: it decides which outputs count as equal answers, and no score."""
        last, channels = self.output.last, self.output.channels
        if last is LastStep.SOFTMAX and channels > 1:
            return Task.CLASSES if self._is_vector else Task.PLACES
        if self._like_input:
            return Task.RECONSTRUCTION
        if not self._is_vector or channels == 1:
            decided = self._is_vector and last in (LastStep.SIGMOID, LastStep.SIGN)
            return Task.BINARY if decided else Task.REGRESSION
        return Task.LABELS if last is LastStep.SIGMOID else Task.CLASSES

    def derived(self, y: npt.NDArray[Any]) -> Task:
        """The only reading that ending, shapes and labels leave.

        Raises:
            StqError: several readings are left, or none.
        """
        if y.dtype.kind == "f":
            return self._of_targets(y)
        if self.output.last is LastStep.SOFTMAX and self.output.channels == 1:
            raise StqError(
                "the model ends in softmax over one output, which is always 1",
                cause="the model was meant to end in a sigmoid, or in two outputs",
                next="give the last layer a sigmoid and train it again, or two units",
            )
        if y[0].size == 1:
            return self._of_one_label(y.ravel())
        return self._of_several_labels(y)

    def _of_targets(self, y: npt.NDArray[Any]) -> Task:
        if self._fits(y) and self.output.last in _UNIT and np.isin(y, (0, 1)).all():
            raise self._ambiguous(
                "`y` holds floats, all of them 0 or 1",
                (Task.REGRESSION,),
                "store labels as whole numbers",
            )
        return Task.REGRESSION

    def _of_one_label(self, y: npt.NDArray[Any]) -> Task:
        last, channels = self.output.last, self.output.channels
        two = bool(np.isin(y, (0, 1)).all())
        if not self._is_vector:
            if last is LastStep.SOFTMAX or not self._like_input:
                raise self._unfit(y, "one label per sample", "a label for each place", (Task.REGRESSION, Task.ANOMALY))
            return Task.ANOMALY if two and len(np.unique(y)) == 2 else Task.RECONSTRUCTION
        if channels == 1:
            if last in (LastStep.SIGMOID, LastStep.SIGN) or bool((y < 0).any()):
                return Task.BINARY
            if two:
                raise self._ambiguous(
                    f"its one output ends in {last}, the labels are 0 and 1: "
                    "class 1 may begin above 0, above 0.5, or the label may be a number to be met",
                    (Task.BINARY, Task.REGRESSION),
                    "say --task binary --threshold 0 (the output is a logit) or --threshold 0.5",
                )
            raise self._beyond(int(y.max()), 2)
        if self._like_input and last is not LastStep.SOFTMAX:
            raise self._ambiguous(
                f"it has as many outputs as inputs ({channels})", (Task.CLASSES, Task.ANOMALY, Task.RECONSTRUCTION)
            )
        return Task.CLASSES

    def _of_several_labels(self, y: npt.NDArray[Any]) -> Task:
        last, channels = self.output.last, self.output.channels
        if not self._is_vector and _squeezed(y.shape[1:]) == _squeezed(self.output.places):
            if channels == 1 and last not in (LastStep.SIGMOID, LastStep.SIGN) and not (y < 0).any():
                raise self._ambiguous(
                    f"its one output per place ends in {last}", (Task.PLACES, Task.REGRESSION),
                    "say --task pixel-classes --threshold 0 or --threshold 0.5",
                )  # fmt: skip
            return Task.PLACES
        if self._fits(y) and np.isin(y, (0, 1)).all():
            if last is LastStep.SOFTMAX:
                return Task.CLASSES if self._is_vector else Task.PLACES
            if last is LastStep.SIGMOID:
                return Task.LABELS
            one_hot = (Task.CLASSES if self._is_vector else Task.PLACES, Task.LABELS, Task.REGRESSION)
            raise self._ambiguous(f"it ends in {last}, the labels are 0 or 1 for each output", one_hot)
        what, wanted = f"labels of shape {y.shape[1:]} per sample", "as many labels as outputs or places"
        if self._fits(y):
            what, wanted = f"{what} from {y.min()} to {y.max()}", "a label for each output is 0 or 1"
        raise self._unfit(y, what, wanted, ())

    def check_possible(self, task: Task) -> None:
        """Check that the output can be read as the stated task.

        Raises:
            StqError: it cannot be read so.
        """
        output, size = self.output, int(np.prod(self.output.shape))
        problems = {
            Task.CLASSES: "classes need several outputs" if not self._is_vector or output.channels < 2 else "",
            Task.BINARY: "two classes need a single output" if size > 1 else "",
            Task.PLACES: "classes of places need an output with places" if self._is_vector else "",
            Task.LABELS: "softmax gives no independent labels" if output.last is LastStep.SOFTMAX else "",
        }
        if task in (Task.RECONSTRUCTION, Task.ANOMALY) and size != int(np.prod(self.input_shape)):
            problems[task] = f"the input has shape {self.input_shape}"
        if problems.get(task):
            raise StqError(
                f"the output, of shape {output.shape}, cannot be read as {task}: {problems[task]}",
                next=f"choose another --task: {', '.join(Task)}",
            )

    def check_labels(self, task: Task, y: npt.NDArray[Any]) -> None:
        """Check that this reading can give the labels.

        Raises:
            StqError: a label is beyond the classes or below 0, or there are not as many as the reading needs.
        """
        if task is Task.RECONSTRUCTION:
            return
        output, places = self.output, self.output.places
        allowed: list[tuple[int, ...]] = {
            Task.CLASSES: [(), (output.channels,)],
            Task.PLACES: [places, (*places, output.channels)],
            Task.LABELS: [output.shape],
            Task.REGRESSION: [output.shape],
        }.get(task, [()])
        fits = _squeezed(y.shape[1:]) in map(_squeezed, allowed)
        if not fits or (task is not Task.REGRESSION and y.dtype.kind == "f"):
            wanted = " or ".join(str(shape) if shape else "one" for shape in allowed)
            raise self._unfit(
                y,
                "",
                f"{task} needs {'targets' if task is Task.REGRESSION else 'labels'} of shape {wanted} per sample",
                (),
            )
        if task is Task.REGRESSION:
            return
        by_largest = task is Task.CLASSES or (task is Task.PLACES and output.channels > 1)
        if by_largest and _squeezed(y.shape[1:]) == _squeezed((*places, output.channels)):
            if not np.isin(y, (0, 1)).all() or (y.reshape(len(y), *output.shape).sum(axis=-1) != 1).any():
                raise StqError(
                    "the labels are one number per output, but not one 1 and else 0",
                    cause="a sample has several labels, or none",
                    next="--task multi-label, if the outputs are labels; else store class numbers as y",
                )
            return
        classes = output.channels if by_largest else 2
        if y.max() >= classes:
            raise self._beyond(int(y.max()), classes)
        symmetric = not by_largest and task is not Task.ANOMALY and output.last is not LastStep.SIGMOID
        if y.min() < 0 and not (symmetric and np.isin(y, (-1, 1)).all()):
            raise StqError(
                f"a label is {y.min()}, but classes are numbered from 0",
                cause="the samples belong to another model",
                next="number the classes from 0",
            )

    def _fits(self, y: npt.NDArray[Any]) -> bool:
        """Whether there is an entry for each output, in its order: axes of size 1 do not count."""
        return _squeezed(y.shape[1:]) == _squeezed(self.output.shape)

    def _ambiguous(self, what: str, tasks: Sequence[Task], more: str = "") -> StqError:
        ways = "; ".join(f"--task {task} ({_WAYS[task]})" for task in tasks)
        return StqError(
            f"it is not known what the model's output is: {what}",
            cause="a model file does not say what the model was trained for",
            next=f"say which: {ways}" + (f"; {more}" if more else ""),
        )

    def _unfit(self, y: npt.NDArray[Any], what: str, wanted: str, tasks: Sequence[Task]) -> StqError:
        kind = "labels" if y.dtype.kind == "i" else "targets"
        seen = what or f"{kind} of shape {y.shape[1:]} per sample, stored as {y.dtype}"
        ways = "".join(f"; or --task {task} ({_WAYS[task]})" for task in tasks)
        return StqError(
            f"the samples have {seen}, the output has shape {self.output.shape}",
            cause=wanted,
            next="give `y` as docs/FORMAT.md says for this output" + ways,
        )

    def _beyond(self, label: int, classes: int) -> StqError:
        return StqError(
            f"a label is class {label}, the network has {classes}",
            cause="the samples belong to another data set or model",
            next="choose samples of this model's classes, numbered from 0; or store targets of a regression as floats",
        )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without axes of size 1."""
    return tuple(n for n in shape if n != 1)
