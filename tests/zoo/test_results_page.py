"""docs/RESULTS.md is what `tools/reproduce` writes of its figures, and of nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from stq_deploy.zoo.shipped import shipped_models

TOOL = Path(__file__).resolve().parents[2] / "tools" / "reproduce.py"


@pytest.fixture(name="reproduce", scope="module")
def _reproduce() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reproduce", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_of_its_figures(reproduce: ModuleType) -> None:
    rows = json.loads(reproduce.FIGURES.read_text())["rows"]
    assert reproduce.PAGE.read_text() == reproduce.results_page(rows)
    assert [row["model"] for row in rows] == list(shipped_models())


def test_networks_that_do_not_come_are_not_yet_run(reproduce: ModuleType) -> None:
    (row,) = [row for row in json.loads(reproduce.FIGURES.read_text())["rows"] if row["model"] == "stq-cifar10"]
    page = reproduce.results_page([row])
    assert page.count("| not yet run |") == 3 * 8 - 1
    assert f"| {100 * row['integer']['top1']:.2f} (" in page
