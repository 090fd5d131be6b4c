"""Classes, accuracies, confusion matrices, mismatches."""

import numpy as np

from stq_deploy.evaluation.scores import Accuracy, classes_of, confusion_matrix, mismatches


def test_a_tie_goes_to_the_lowest_index() -> None:
    logits = np.array([[0, 7, 7], [5, 5, 5], [-3, -2, -2], [1, 2, 3]], np.int32)
    np.testing.assert_array_equal(classes_of(logits), [1, 0, 1, 2])


def test_logits_next_to_each_other_beyond_float32_are_told_apart() -> None:
    assert classes_of(np.array([[2**30, 2**30 + 1]], np.int32))[0] == 1


def test_accuracy() -> None:
    accuracy = Accuracy.of(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 0]))
    assert (accuracy.correct, accuracy.total, accuracy.share) == (3, 4, 0.75)
    assert str(accuracy) == "75.0 % [30.1, 95.4]"
    assert accuracy.as_json()["top1"] == 0.75


def test_accuracy_of_nothing() -> None:
    empty = Accuracy(0, 0)
    assert (str(empty), empty.as_json()["top1"], empty.interval) == ("-", None, (0.0, 1.0))


def test_confusion_matrix() -> None:
    counts = confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 0, 0, 2]), 3)
    np.testing.assert_array_equal(counts, [[1, 2, 0], [0, 0, 0], [0, 0, 1]])


def test_mismatches() -> None:
    first = np.arange(12).reshape(4, 3)
    second = first.copy()
    second[1, 2] += 1
    second[3, 0] -= 1
    np.testing.assert_array_equal(mismatches(first, second), [1, 3])
    np.testing.assert_array_equal(mismatches(first[:, 0], second[:, 0]), [3])
    assert mismatches(first, first).size == 0
