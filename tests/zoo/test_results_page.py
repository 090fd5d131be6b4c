"""The page that `tools/reproduce` writes says what its figures and the paper's table say, and nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
    page = reproduce.results_page([row("stq-cifar10")])
    (line,) = [line for line in page.splitlines() if line.startswith("| STQ | 80.57 |")]
    ours = "78.40 (77.6 .. 79.2)"
    assert line == f"| STQ | 80.57 | {ours} | {ours} | 781 of 1000, 0 | 410 | 420,008 | 381,256 | 407,804 |"
    assert "| `zoo:stq-cifar10` | a recipe | 32 | 0.9 | 3 | abc | not recorded |" in page


def test_networks_that_do_not_come_are_not_yet_run(reproduce: ModuleType) -> None:
    page = reproduce.results_page([row("stq-cifar10")])
    assert page.count("| not yet run |") == 3 * 8 - 1
    assert reproduce.results_page([]).count("| not yet run |") == 3 * 8


def test_other_networks_and_data_sets_have_a_table_of_their_own(reproduce: ModuleType) -> None:
    assert "## Other networks" not in reproduce.results_page([row("stq-cifar10")])
    page = reproduce.results_page([row("ds-cnn-speech", network="ds_cnn", dataset="speech-commands")])
    assert "| `zoo:ds-cnn-speech` | ds_cnn | stq | speech-commands | 78.40 (77.6 .. 79.2) |" in page


def test_the_page_is_that_of_its_figures(reproduce: ModuleType) -> None:
    rows = json.loads(reproduce.FIGURES.read_text())["rows"]
    assert reproduce.PAGE.read_text() == reproduce.results_page(rows)
    assert all(row["board"]["differing"] == 0 for row in rows)
