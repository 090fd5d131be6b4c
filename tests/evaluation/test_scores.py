"""Classes, accuracies, other scores, confusion matrices, mismatches."""

import numpy as np
import pytest

from stq_deploy.evaluation.scores import (
    Accuracy,
    AnomalyScore,
    ErrorScore,
    LabelScore,
    PlaceScore,
    area_under_curve,
    classes_of,
    confusion_matrix,
    mismatches,
)


def test_a_tie_goes_to_the_lowest_index() -> None:
    logits = np.array([[0, 7, 7], [5, 5, 5], [-3, -2, -2], [1, 2, 3]], np.int32)
    np.testing.assert_array_equal(classes_of(logits), [1, 0, 1, 2])


def test_logits_next_to_each_other_beyond_float32_are_told_apart() -> None:
    assert classes_of(np.array([[2**30, 2**30 + 1]], np.int32))[0] == 1


def test_accuracy() -> None:
    accuracy = Accuracy.of(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 0]))
    assert (accuracy.correct, accuracy.total, accuracy.share) == (3, 4, 0.75)
    assert str(accuracy) == "75.0 % [30.1, 95.4]"
    assert accuracy.to_json()["top1"] == 0.75


def test_accuracy_of_nothing() -> None:
    empty = Accuracy(0, 0)
    assert (str(empty), empty.to_json()["top1"], empty.interval) == ("-", None, (0.0, 1.0))


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


def _pairs(scores: np.ndarray, labels: np.ndarray) -> float:
    """The area under the ROC curve as its definition says: over all pairs of one sample each."""
    won = [float(a > b) + 0.5 * float(a == b) for a in scores[labels == 1] for b in scores[labels == 0]]
    return float(np.mean(won))


@pytest.mark.parametrize("seed", range(5))
def test_area_under_the_curve_is_the_share_of_pairs(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], random.integers(0, 2, 40)])
    scores = random.integers(0, 6, 42).astype(np.float64)  # few values: many ties
    assert area_under_curve(scores, labels) == pytest.approx(_pairs(scores, labels), abs=1e-12)


def test_area_under_the_curve_needs_both_labels() -> None:
    assert area_under_curve(np.zeros(3), np.zeros(3, np.int64)) is None
    assert area_under_curve(np.zeros(3), np.ones(3, np.int64)) is None
    assert area_under_curve(np.arange(4.0), np.array([0, 0, 1, 1])) == 1
    assert area_under_curve(-np.arange(4.0), np.array([0, 0, 1, 1])) == 0


def test_label_score() -> None:
    answers = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    labels = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 1]])
    found = LabelScore.of(answers, labels)
    assert (found.whole.correct, found.right, found.total) == (2, 8, 9)
    assert found.f1 == pytest.approx(2 * 4 / (5 + 4))
    assert LabelScore.of(np.zeros((2, 2), int), np.zeros((2, 2), int)).f1 is None


def test_place_score() -> None:
    answers = np.array([[[0, 1], [1, 1]]])
    labels = np.array([[[0, 0], [1, 1]]])
    found = PlaceScore.of(answers, labels, 3)
    assert (found.correct, found.total) == (3, 4)
    assert found.mean_iou == pytest.approx((1 / 2 + 2 / 3) / 2)  # the third class occurs nowhere


def test_error_and_anomaly_score() -> None:
    answers, targets = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [3.0, 0.0]])
    found = ErrorScore.of(answers, targets)
    assert (found.mean_squared, found.mean_absolute, found.elements) == (13 / 4, 5 / 4, 4)
    anomaly = AnomalyScore.of(answers, targets, np.array([0, 1]))
    assert (anomaly.auc, anomaly.normal, anomaly.anomalous, anomaly.error) == (1, 1, 1, found)
    assert AnomalyScore.of(answers, targets, np.array([0, 0])).to_json()["auc"] is None
