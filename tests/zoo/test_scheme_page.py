"""The table of schemes in docs/DESIGN.md is what `tools/build_schemes` makes of its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
from tools.build_schemes import BLOCK, PAGE, page_table
from tools.marked_block import replace_block

FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures" / "schemes.json"


def test_the_page_shows_the_figures() -> None:
    rows = json.loads(FIGURES.read_text())["rows"]
    page = PAGE.read_text()
    assert len(rows) == 16 and all(row["differing_layers"] == 0 for row in rows)
    assert page == replace_block(page, BLOCK, page_table(rows))
