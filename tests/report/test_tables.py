"""A run's tables as CSV, its rows' titles, and what its head says."""

import csv
import io
import sys

import numpy as np
import pytest

from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.origin import Origin
from stq_deploy.evaluation.summary import Comparison, LayerCost, RunSummary
from stq_deploy.network.output import Task
from stq_deploy.report.tables import layers_csv, results_csv
from stq_deploy.report.titles import row_title, scores_title, speed_of
from tests.helpers.firmwares import firmware
from tests.helpers.scorings import scoring

LOGITS = np.array([[9, 0], [0, 9], [0, 9], [9, 0]], np.int32)


def _summary(*, emulated: bool = True, source: str = "mine.npz", labelled: bool = True) -> RunSummary:
    labels = np.array([0, 1, 1, 1]) if labelled else None
    samples = SampleSet(np.zeros((4, 1, 1, 1), np.uint8), labels)
    other = LOGITS.copy()
    other[0] = [1, 2]
    comparison = Comparison(samples, source, other, LOGITS, scoring((2,), Task.CLASSES), None)
    layers = (LayerCost("=cmd()", "dense", 8, 30), LayerCost("fc", "dense", 4, None))
    return RunSummary(firmware(), emulated, "m", (comparison,), layers, 4, 2.0)


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_results_are_a_line_per_file() -> None:
    (row,) = _rows(results_csv(_summary()))
    assert (row["samples"], row["source"], row["count"], row["task"], row["metric"]) == (
        "mine", "mine.npz", "4", "classes", "top-1",
    )  # fmt: skip
    assert (float(row["reference"]), float(row["board"]), row["float"]) == (0.75, 0.5, "")
    assert 0 < float(row["board_low"]) < 0.5 < float(row["board_high"]) < 1
    assert (row["board_reference_mismatches"], row["float_reference_mismatches"]) == ("1", "")


def test_without_labels_there_is_no_score() -> None:
    summary = _summary(labelled=False)
    (row,) = _rows(results_csv(summary))
    assert (row["metric"], row["board"], row["board_reference_mismatches"]) == ("", "", "1")
    assert "not scored" in scores_title(summary)


def test_layers_name_what_was_counted_and_hold_no_formula() -> None:
    rows = _rows(layers_csv(_summary()))
    assert [row["layer"] for row in rows] == ["'=cmd()", "fc"]
    assert [row["instructions"] for row in rows] == ["30", ""]
    assert "cycles" in _rows(layers_csv(_summary(emulated=False)))[0]


def test_speed_says_what_it_is_the_speed_of() -> None:
    assert "this computer" in speed_of(_summary())
    assert "this computer" not in speed_of(_summary(emulated=False))


def test_files_that_do_not_say_what_they_are_go_by_their_names() -> None:
    (comparison,) = _summary(source="folder/digits.v2.npz").comparisons
    assert row_title(comparison) == "digits.v2"


def test_origin_names_the_command_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/stq-deploy", "run", "--out", "a b"])
    origin = Origin.now()
    assert origin.command == "stq-deploy run --out 'a b'"
    assert "Python 3" in origin.computer and origin.date[4] == "-"
