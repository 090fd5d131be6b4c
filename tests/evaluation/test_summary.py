"""What a run's JSON says."""

import json

import numpy as np

from stq_deploy.datasets.sample_metadata import AttackRecord, SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.summary import Comparison, LayerCost, RunSummary
from tests.helpers.firmwares import firmware
from tests.helpers.scorings import scoring

LABELS = np.array([0, 1, 1, 0], np.int64)
REFERENCE = np.array([[5, 1], [1, 5], [5, 1], [2, 1]], np.int32)


def _comparison(board: np.ndarray, float_answers: np.ndarray | None) -> Comparison:
    samples = SampleSet(np.zeros((4, 1, 1, 1), np.uint8), LABELS, SampleMetadata(attack=AttackRecord("pgd")))
    return Comparison(samples, "pgd.npz", board, REFERENCE, scoring((2,)), float_answers)


def test_mismatches_are_counted_by_prediction_and_by_logit() -> None:
    board = REFERENCE.copy()
    board[0, 1] = 2  # same class, other logit
    board[3] = [1, 2]  # other class
    found = _comparison(board, np.array([0, 1, 1, 1])).to_json()
    assert found["attack"] == "pgd"
    assert (found["reference"], found["board"], found["float"]) == (0.75, 0.5, 0.75)
    assert found["board_reference_mismatches"] == 1
    assert found["board_reference_logit_mismatches"] == 2
    assert found["float_reference_mismatches"] == 2


def test_an_unknown_float_column_stays_unknown() -> None:
    found = _comparison(REFERENCE, None).to_json()
    assert (found["float"], found["float_wilson95"], found["float_reference_mismatches"]) == (
        None,
        None,
        None,
    )


def _summary(layers: tuple[LayerCost, ...], *, emulated: bool = True, **settings: float) -> RunSummary:
    return RunSummary(
        firmware=firmware(), emulated=emulated, model="m",
        comparisons=(_comparison(REFERENCE, None),), layers=layers,
        samples_run=int(settings.get("samples_run", 4)), seconds=settings.get("seconds", 2.0),
    )  # fmt: skip


def test_json_names_the_counter_after_what_it_counts() -> None:
    layers = (LayerCost("a", "dense", 1, 10), LayerCost("b", "dense", 1, 20))
    emulated = _summary(layers).to_json()
    assert (emulated["instructions_per_inference"], emulated["layers"][1]["instructions"]) == (30, 20)
    real = _summary(layers, emulated=False).to_json()
    assert (real["cycles_per_inference"], real["layers"][1]["cycles"]) == (30, 20)
    assert "instructions_per_inference" not in real
    json.dumps(emulated, allow_nan=False)


def test_unmeasured_costs_and_speed_are_null() -> None:
    found = _summary((LayerCost("a", "dense", 1, None),), samples_run=0).to_json()
    assert (found["instructions_per_inference"], found["samples_per_second"]) == (None, None)


def test_speed_counts_what_was_run_now() -> None:
    assert _summary((), samples_run=3, seconds=1.5).to_json()["samples_per_second"] == 2.0
