"""docs/MODEL_FILES.md is what the figures say, and cells of files' own texts stay cells."""

from __future__ import annotations

import json
from pathlib import Path

from tools.model_files_page import page_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURES = json.loads((DOCS / "figures" / "compare_formats.json").read_text())


def test_the_page_is_written_from_the_figures() -> None:
    assert (DOCS / "MODEL_FILES.md").read_text() == page_of(FIGURES)


def test_no_format_changes_a_logit() -> None:
    rows = FIGURES["same_network"]
    assert {row["network"] for row in rows} == {"pictures", "features"}
    assert len(rows) >= 18
    assert all(row["logits"] > 1000 and row["different"] == 0 for row in rows)


def test_a_file_that_differs_says_why() -> None:
    files = [file for source in FIGURES["sources"] for file in source["files"]]
    assert len(files) > 70
    assert all(file["note"] for file in files if file["verdict"] == "differs")
    assert all(file["because"] for file in files if file["verdict"] in ("read", "refused"))


def test_text_of_a_file_stays_in_its_cell() -> None:
    file = {"file": "a|b\n.h5", "format": "", "weights": "", "verdict": "refused", "because": "x | y\nz", "program": ""}
    source = {"title": "t", "repository": "", "commit": "", "files": [file]}
    page = page_of({"same_network": [], "sources": [source]})
    assert r"| `a\|b .h5` | - | - | refused: x \| y z |" in page.splitlines()
