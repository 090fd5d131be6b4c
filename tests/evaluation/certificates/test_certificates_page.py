"""docs/CERTIFICATES.md is what tools/certificates writes of the figures."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
FIGURES = json.loads((TOP / "docs" / "figures" / "certificates.json").read_text())["networks"]


def test_the_page_is_that_of_the_figures() -> None:
    tool = runpy.run_path(str(TOP / "tools" / "certificates.py"))
    assert (TOP / "docs" / "CERTIFICATES.md").read_text() == tool["page"](), "run tools/certificates --page"


def test_counts_are_those_of_the_samples() -> None:
    for row in FIGURES.values():
        for family in row["families"]:
            assert family["proved"]["correct"] == family["by_sample"].count("1")
            assert len(family["by_sample"]) == family["proved"]["total"] == row["samples"]
        exact = [one for one in row["families"] if one["family"] == "linf:0"]
        for one in exact:
            assert one["proved"]["correct"] == one["right"]
            assert all(other["proved"]["correct"] <= one["right"] for other in row["families"])
