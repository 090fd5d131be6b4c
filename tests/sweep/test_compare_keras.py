"""A few random models with random input domains against Keras; `tools/compare_keras` compares hundreds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.sweep.check_against_keras import check_against_keras
from tests.helpers.sweep.input_domains import DOMAINS, ENDINGS
from tools.compare_keras import draw_cases, run_batch


@pytest.mark.keras
def test_every_difference_from_keras_is_explained(tmp_path: Path) -> None:
    compared = 0
    for case in draw_cases(12, 0, 1):
        found = check_against_keras(case, tmp_path)
        assert (found.unexplained, found.float_column) == (0, 0), (found, case)
        compared += found.samples
    assert compared > 200


def test_every_domain_and_every_kind_of_output_is_drawn() -> None:
    drawn = draw_cases(120, 0, 1)
    assert {case.domain for case in drawn} == set(DOMAINS)
    assert {case.ending for case in drawn} == set(ENDINGS)


@pytest.mark.keras
def test_only_some_models_of_a_batch_are_compared() -> None:
    """So that those which oneDNN cannot run are compared with TensorFlow's own kernels, and none counts twice."""
    whole = run_batch(0, 3, 1)
    parts = [run_batch(0, 3, 1, only)["counts"] for only in ([0], [1, 2])]
    assert whole["again"] == []
    assert Counter(parts[0]) + Counter(parts[1]) == +Counter(whole["counts"])
