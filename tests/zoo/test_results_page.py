"""The page that `tools/reproduce` writes says what its figures and the paper's table say, and nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from stq_deploy.evaluation.cross_validation import spread
from stq_deploy.evaluation.scores import Accuracy

TOOL = Path(__file__).resolve().parents[2] / "tools" / "reproduce.py"


@pytest.fixture(name="reproduce", scope="module")
def _reproduce() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reproduce", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(name: str, **changes: Any) -> dict[str, Any]:
    """Figures as `tools/reproduce table3` keeps them."""
    score = Accuracy(7840, 10_000).as_json()
    return {
        "model": name, "network": "stq", "variant": "pooled", "scheme": "stq", "dataset": "cifar10",
        "float": score, "integer": score, "predictions_differing_from_float": 0,
        "board": Accuracy(781, 1000).as_json() | {"name": "stm32h743", "differing": 0},
        "bytes": {"qstats": 420_008, "packed": 381_256, "linked": 407_804},
        "compiler": "zig", "command": "tools/reproduce table3", "commit": None,
        "training": {"seed": 3, "epochs": 32, "hours": 0.9, "recipe": "a recipe", "commit": "abc"},
    } | changes  # fmt: skip


def test_a_row_stands_beside_the_papers(reproduce: ModuleType) -> None:
    page = reproduce.results_page([row("stq-cifar10")], [])
    (line,) = [line for line in page.splitlines() if line.startswith("| STQ | 80.57 |")]
    ours = "78.40 (77.6 .. 79.2)"
    assert line == f"| STQ | 80.57 | {ours} | {ours} | 781 of 1000, 0 | 410 | 420,008 | 381,256 | 407,804 |"
    assert "| `zoo:stq-cifar10` | a recipe | 32 | 0.9 | 3 | abc | not recorded |" in page


def test_networks_that_do_not_come_are_not_yet_run(reproduce: ModuleType) -> None:
    for rows, missing in (([row("stq-cifar10")], 3 * 8 - 1), ([], 3 * 8)):
        before, _, after = reproduce.results_page(rows, []).partition("## Table V")
        assert before.count("| not yet run |") == missing
        assert after.count("not yet run") == 2 * 15


def test_the_papers_spoken_words_stand_beside_the_papers_too(reproduce: ModuleType) -> None:
    page = reproduce.results_page([row("stq-speech", dataset="speech-commands")], [])
    assert "| STQ | 94.76 | 78.40" in page
    assert "## Other networks" not in page


def validation(**training: Any) -> dict[str, Any]:
    """As `stq-deploy cross-validate` leaves it."""
    scores = [{"none": Accuracy(right, 100).as_json(), "fgsm": Accuracy(3, 10).as_json()} for right in (50, 52)]
    return {
        "training": {"network": "stq", "variant": "strided", "scheme": "stq", "dataset": "cifar10", "seed": 7}
        | training,
        "attacks": {"samples": 10, "settings": {"fgsm": {"eps": 0.1, "norm": "inf"}}},
        "folds": scores,
        "procedures": {name: spread([fold[name]["top1"] for fold in scores]) for name in ("none", "fgsm")},
        "command": ["stq-deploy", "cross-validate", "--folds", "2"],
        "git_commits": ["abc"],
        "versions": {},
    }


def test_a_validation_stands_beside_the_papers(reproduce: ModuleType) -> None:
    page = reproduce.results_page([], [validation(), validation(network="resnet_v1", scheme="fp")])
    ours = "2.00 (mean 51.00)"
    assert f"| CIFAR-10 | none | 3.04 | {ours} | 26.25 | {ours} |" in page
    assert "| CIFAR-10 | square | 11.78 | not yet run | 15.58 | not yet run |" in page
    assert "| SVHN | none | 0.19 | not yet run | 0.1 | not yet run |" in page
    assert "### stq (strided), scheme stq, on cifar10\n" in page
    assert "| none | 51.00 | 38.29 .. 63.71 | 2.00 | 24.99 | 100 |" in page
    assert "2 folds, seed 7, trained at abc, by `stq-deploy cross-validate --folds 2`.\n" in page
    assert "Attacks: fgsm `eps=0.1`, `norm=inf`." in page


def test_other_validations_stand_by_themselves(reproduce: ModuleType) -> None:
    page = reproduce.results_page([], [validation(scheme="ternary"), validation(dataset="fashion-mnist")])
    assert page.partition("## Table V")[2].count("not yet run") == 2 * 15
    assert "### stq (strided), scheme ternary, on cifar10\n" in page


def test_finished_validations_are_taken_over(
    reproduce: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduce, "FOLD_FIGURES", tmp_path / "table5.json")
    monkeypatch.setattr(reproduce, "PAGE", tmp_path / "RESULTS.md")
    run = tmp_path / "run"
    run.mkdir()
    for found in (validation(), validation(scheme="fp"), validation(seed=8)):
        (run / "cross_validation.json").write_text(json.dumps(found))
        assert CliRunner().invoke(reproduce.main, ["table5", str(run)]).exit_code == 0
    kept = reproduce.kept_validations()
    assert [(found["training"]["scheme"], found["training"]["seed"]) for found in kept] == [("fp", 7), ("stq", 8)]
    assert reproduce.PAGE.read_text() == reproduce.results_page(reproduce.kept_rows(), kept)

    old = {key: value for key, value in validation().items() if key != "git_commits"}
    for content in ("{}", "[", json.dumps(old)):
        (run / "cross_validation.json").write_text(content)
        refused = CliRunner().invoke(reproduce.main, ["table5", str(run)])
        assert refused.exit_code == 1
        assert "no finished cross validation" in refused.output
        assert reproduce.kept_validations() == kept


def test_other_networks_and_data_sets_have_a_table_of_their_own(reproduce: ModuleType) -> None:
    assert "## Other networks" not in reproduce.results_page([row("stq-cifar10")], [])
    page = reproduce.results_page([row("ds-cnn-speech", network="ds_cnn", dataset="speech-commands-other-words")], [])
    assert "| `zoo:ds-cnn-speech` | ds_cnn | stq | speech-commands-other-words | 78.40 (77.6 .. 79.2) |" in page


def test_the_page_is_that_of_its_figures(reproduce: ModuleType) -> None:
    rows = reproduce.kept_rows()
    assert reproduce.PAGE.read_text() == reproduce.results_page(rows, reproduce.kept_validations())
    assert all(row["board"]["differing"] == 0 for row in rows)
