"""What a model's output is taken to be: one reading, or an error that names the readings."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.evaluation.task import Stated, choose
from stq_deploy.network.input_format import InputFormat
from stq_deploy.network.output import LastStep, OutputFormat, Task
from stq_deploy.network.tensor import TensorType

SOFTMAX, SIGMOID, TANH, SIGN, LINEAR = LastStep
PICTURE = (4, 4, 1)
FOUR = (4,)


def _read(
    shape: tuple[int, ...],
    last: LastStep,
    y: object,
    stated: Stated | None = None,
    *,
    input_shape: tuple[int, ...] = PICTURE,
    class_names: tuple[str, ...] | None = None,
    **output: object,
) -> Scoring:
    spec = TensorType(input_shape, "int8", -128, 127, 1 / 255, -128)
    labels = None if y is None else np.asarray(y)
    count = 4 if labels is None else len(labels)
    if labels is not None:
        labels = labels.astype(np.float32 if labels.dtype.kind == "f" else np.int64)
    x = np.zeros((count, *input_shape), np.float32)
    samples = SampleSet(x, labels, SampleMetadata(class_names=class_names, range=(0, 1)))
    return choose(OutputFormat(shape, last, **output), InputFormat(spec), None, samples, stated)  # type: ignore[arg-type]


ONE_HOT = np.eye(4, dtype=int)
MASKS = np.arange(4 * 16).reshape(4, 4, 4) % 2
SEVERAL = np.array([[1, 0, 1, 1], [0, 0, 0, 0]])

READINGS = {
    # shape, last step, labels -> task
    "softmax": ((3,), SOFTMAX, [0, 2, 1], Task.CLASSES),
    "one by one pixel": ((1, 1, 3), SOFTMAX, [0, 2, 1], Task.CLASSES),
    "logits": ((3,), LINEAR, [0, 2, 1], Task.CLASSES),
    "label of one axis": ((3,), LINEAR, [[0], [2], [1]], Task.CLASSES),
    "one-hot softmax": (FOUR, SOFTMAX, ONE_HOT, Task.CLASSES),
    "sigmoids, classes": ((3,), SIGMOID, [0, 2, 1], Task.CLASSES),
    "sigmoids, labels": (FOUR, SIGMOID, SEVERAL, Task.LABELS),
    "one sigmoid": ((1,), SIGMOID, [0, 1, 1], Task.BINARY),
    "one sigmoid, one axis": ((1,), SIGMOID, [[0], [1]], Task.BINARY),
    "one sign, 0 and 1": ((1,), SIGN, [0, 1, 1], Task.BINARY),
    "one sign": ((1,), SIGN, [-1, 1, 1], Task.BINARY),
    "one tanh": ((1,), TANH, [-1, 1, 1], Task.BINARY),
    "one number of +-1": ((1,), LINEAR, [-1, 1, 1], Task.BINARY),
    "regression": ((1,), LINEAR, [0.5, 2, -1], Task.REGRESSION),
    "regression of 0 and 1": ((1,), LINEAR, [0.0, 1.0], Task.REGRESSION),
    "regression of vectors": ((2,), LINEAR, [[0.5, 2], [1, 1]], Task.REGRESSION),
    "sigmoid regression": ((1,), SIGMOID, [0.5, 0.25], Task.REGRESSION),
    "segmentation": ((4, 4, 3), SOFTMAX, np.arange(32).reshape(2, 4, 4) % 3, Task.PLACES),
    "segmentation, logits": ((4, 4, 3), LINEAR, np.arange(32).reshape(2, 4, 4) % 3, Task.PLACES),
    "segmentation, last axis": ((4, 4, 3), LINEAR, np.arange(32).reshape(2, 4, 4, 1) % 3, Task.PLACES),
    "masks": (PICTURE, SIGMOID, MASKS, Task.PLACES),
    "masks, last axis": (PICTURE, SIGMOID, MASKS[..., None], Task.PLACES),
    "labels at places": ((4, 4, 2), SIGMOID, np.ones((3, 4, 4, 2), int), Task.LABELS),
    "picture, no labels": (PICTURE, LINEAR, None, Task.RECONSTRUCTION),
    "picture, normal and not": (PICTURE, SIGMOID, [0, 1, 0], Task.ANOMALY),
    "picture, all normal": (PICTURE, LINEAR, [0, 0], Task.RECONSTRUCTION),
    "picture, digits": (PICTURE, LINEAR, [0, 7, 3], Task.RECONSTRUCTION),
    "picture, targets": (PICTURE, LINEAR, np.zeros((2, 4, 4, 1)), Task.REGRESSION),
    "no labels": ((3,), SOFTMAX, None, Task.CLASSES),
    "no labels, one": ((1,), SIGMOID, None, Task.BINARY),
}


@pytest.mark.parametrize("case", READINGS)
def test_the_only_reading_is_taken(case: str) -> None:
    shape, last, y, task = READINGS[case]
    scoring = _read(shape, last, y)
    assert scoring.task is task
    assert scoring.description.startswith(task)


AMBIGUOUS = {
    "one number, 0 and 1": ((1,), LINEAR, [0, 1], PICTURE, ("binary", "regression", "--threshold 0.5")),
    "one number, all 1": ((1,), LINEAR, [1, 1], PICTURE, ("binary", "regression")),
    "one tanh, 0 and 1": ((1,), TANH, [0, 1], PICTURE, ("binary", "regression", "--threshold 0.5")),
    "as many as inputs": (FOUR, LINEAR, [0, 1, 3], FOUR, ("classes", "anomaly", "reconstruction")),
    "one-hot logits": (FOUR, LINEAR, ONE_HOT, PICTURE, ("classes", "multi-label", "regression")),
    "floats of 0 and 1": ((2,), SIGMOID, [[0.0, 1.0], [1.0, 1.0]], PICTURE, ("regression", "whole numbers")),
    "masks of numbers": (PICTURE, LINEAR, MASKS, PICTURE, ("pixel-classes", "regression", "--threshold")),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_several_readings_are_named(case: str) -> None:
    shape, last, y, input_shape, ways = AMBIGUOUS[case]
    with pytest.raises(StqError, match="it is not known what the model's output is") as caught:
        _read(shape, last, y, input_shape=input_shape)
    for way in ways:
        assert way in str(caught.value.next)


REFUSED = {
    "beyond": ((10,), SOFTMAX, [0, 77], "class 77, the network has 10"),
    "one beyond": ((10,), SOFTMAX, [0, 10], "class 10, the network has 10"),
    "beyond binary": ((1,), SIGMOID, [0, 2], "class 2, the network has 2"),
    "beyond one number": ((1,), LINEAR, [0, 7], "class 7, the network has 2"),
    "beyond at a place": ((4, 4, 3), SOFTMAX, np.full((2, 4, 4), 3), "class 3, the network has 3"),
    "beyond in a mask": (PICTURE, SIGMOID, np.full((2, 4, 4), 255), "class 255, the network has 2"),
    "negative": ((3,), SOFTMAX, [-1, 1], "a label is -1"),
    "negative of a sigmoid": ((1,), SIGMOID, [-1, 1], "a label is -1"),
    "negative labels of outputs": (FOUR, SIGMOID, 2 * SEVERAL - 1, "labels of shape .4,. per sample from -1 to 1"),
    "two hot": (FOUR, SOFTMAX, SEVERAL, "not one 1 and else 0"),
    "softmax of one": ((1,), SOFTMAX, [0, 1], "always 1"),
    "labels for other places": ((4, 4, 3), SOFTMAX, np.zeros((2, 5, 5), int), r"output has shape \(4, 4, 3\)"),
    "one label for a picture": ((4, 4, 3), SOFTMAX, [0, 1], "one label per sample"),
    "one label for another picture": ((8, 8, 1), LINEAR, [0, 1], "one label per sample"),
    "targets of another shape": ((2,), LINEAR, [0.5, 1.0], "the output has shape"),
    "turned targets": ((2, 3, 1), LINEAR, np.zeros((2, 3, 2, 1)), "the output has shape"),
    "labels for other outputs": (FOUR, SIGMOID, np.zeros((2, 3), int), "the output has shape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_labels_that_the_model_cannot_give_are_refused(case: str) -> None:
    shape, last, y, message = REFUSED[case]
    with pytest.raises(StqError, match=message):
        _read(shape, last, y)


STATED = {
    "classes": ((4,), LINEAR, [0, 3], FOUR, Task.CLASSES),
    "one-hot": ((4,), LINEAR, ONE_HOT, PICTURE, Task.CLASSES),
    "binary": ((1,), LINEAR, [0, 1], PICTURE, Task.BINARY),
    "regression of labels": ((1,), LINEAR, [0, 7], PICTURE, Task.REGRESSION),
    "labels of logits": (FOUR, LINEAR, SEVERAL, PICTURE, Task.LABELS),
    "anomaly": (FOUR, LINEAR, [0, 1], FOUR, Task.ANOMALY),
    "flat reconstruction": ((16,), LINEAR, None, PICTURE, Task.RECONSTRUCTION),
    "masks": (PICTURE, LINEAR, MASKS, PICTURE, Task.PLACES),
}


@pytest.mark.parametrize("case", STATED)
@pytest.mark.parametrize("where", ["now", "at conversion"])
def test_what_is_stated_counts(case: str, where: str) -> None:
    shape, last, y, input_shape, task = STATED[case]
    stated, said = (Stated(task), {}) if where == "now" else (None, {"task": task})
    assert _read(shape, last, y, stated, input_shape=input_shape, **said).task is task


IMPOSSIBLE = [
    ((1,), LINEAR, Task.CLASSES),
    ((4, 4, 3), SOFTMAX, Task.CLASSES),
    ((3,), LINEAR, Task.BINARY),
    ((3,), LINEAR, Task.PLACES),
    ((3,), SOFTMAX, Task.LABELS),
    ((3,), LINEAR, Task.RECONSTRUCTION),
    ((3,), LINEAR, Task.ANOMALY),
]


@pytest.mark.parametrize(("shape", "last", "task"), IMPOSSIBLE)
def test_what_cannot_be_is_refused(shape: tuple[int, ...], last: LastStep, task: Task) -> None:
    with pytest.raises(StqError, match=f"cannot be read as {task}"):
        _read(shape, last, None, Stated(task))


def test_what_is_not_scored_is_said() -> None:
    """Names of other classes, further outputs, unused labels: each is one note."""
    names = ("a", "b", "c")
    assert _read((3,), SOFTMAX, [0, 1], class_names=names).notes == ()
    (note,) = _read((4,), SOFTMAX, [0, 1], class_names=names).notes
    assert "name 3 classes, the network has 4" in note
    (note,) = _read((1,), SIGMOID, [0, 1], class_names=names).notes
    assert "name 3 classes, the network has 2" in note
    (note,) = _read((3,), SOFTMAX, [0, 1], count=2).notes
    assert note == "the model has 2 outputs; the first is scored"
    (note,) = _read(PICTURE, LINEAR, [3, 1]).notes
    assert "labels are not used" in note
