"""An epoch's record as a line of history.jsonl, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stq_deploy.research.training.epoch_record import EpochRecord, Validation

PLAIN = EpochRecord(3, 0.5, 0.25, 0.001, None, None, None, Validation(0.75), 12.5)
WHOLE = EpochRecord(1, 0.5, 0.25, 0.001, 8.0, 0.5, 4.0, Validation(0.75, 0.7, 0.5, 0.0), 12.5)
SPARSE = EpochRecord(2, 0.5, 0.25, 0.001, None, None, None, Validation(0.75), 12.5, nonzero_share=0.125)
NO_SAMPLES = EpochRecord(1, 0.5, 0.25, 0.001, None, None, None, Validation(), 12.5)


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (PLAIN, set()),
        (NO_SAMPLES, set()),
        (SPARSE, {"nonzero_share"}),
        (WHOLE, {"adversary_eps", "noisy_accuracy", "robust_accuracy", "certified_accuracy"}),
    ],
)
def test_a_record_comes_back_from_its_line(record: EpochRecord, names: set[str]) -> None:
    line = json.loads(json.dumps(record.to_json()))
    assert EpochRecord.from_json(line) == record
    always = {"epoch", "train_loss", "train_accuracy", "learning_rate", "temperature", "quantized_share"}
    assert set(line) == always | {"validation_accuracy", "seconds"} | names


@pytest.mark.parametrize(
    "change", [{"epoch": None}, {"epoch": "1"}, {"train_loss": True}, {"seconds": []}, {"robust_accuracy": "0.5"}]
)
def test_a_damaged_line_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"record lacks|is not a number"):
        EpochRecord.from_json(WHOLE.to_json() | change)


def test_the_strictest_accuracy_that_is_measured_is_the_score() -> None:
    assert (WHOLE.validated.score, PLAIN.validated.score) == (0.0, 0.75)
    assert Validation(0.75, 0.9, 0.5).score == 0.5
    with pytest.raises(ValueError, match="no validation samples"):
        _ = NO_SAMPLES.validated.score
