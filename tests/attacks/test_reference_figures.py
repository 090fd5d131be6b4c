"""docs/CHECKS.md has the table of docs/figures/compare_attacks.json, and our attacks are at least as strong as the
references.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from tools.marked_block import replace_block

TOP = Path(__file__).resolve().parents[2]
FIGURES = json.loads((TOP / "docs" / "figures" / "compare_attacks.json").read_text())


@pytest.mark.keras
def test_the_page_has_the_table_of_the_figures() -> None:
    tool = runpy.run_path(str(TOP / "tools" / "compare_attacks.py"))
    page = (TOP / "docs" / "CHECKS.md").read_text()
    assert replace_block(page, tool["BLOCK"], tool["text"](FIGURES)) == page


def test_no_reference_breaks_many_samples_that_ours_leaves() -> None:
    for name, row in FIGURES.items():
        assert row["largest_logit_difference"] < 1e-3, name
        for one in row["attacks"]:
            assert 0 <= one["ours"] <= row["clean"], name
            assert one["ours"] - one["theirs"] <= 0.1 * row["samples"], (name, one)
