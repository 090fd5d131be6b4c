"""The notebook of docs/tutorial: its code runs, and its stored outputs are those of its code."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parent.parent
NOTEBOOK = TOP / "docs" / "tutorial" / "first_network.ipynb"
TOOL = TOP / "tools" / "run_notebook.py"
TOOLS = runpy.run_path(str(TOOL))


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def masked(text: str) -> list[str]:
    """Lines without numbers and without the widths that follow from them: training depends on the processor."""
    return [" ".join(re.sub(r"\d[\d,.]*", "#", line).split()) for line in text.splitlines()]


def differing_cells(stored: dict[str, Any], found: dict[str, Any]) -> list[int]:
    """Numbers, from 1, of the code cells whose outputs differ.

    A cell tagged `exact` must give the same text, any other the same text with other numbers. A cell tagged `varies`
    shows pictures that depend on the training: it must give as many lines.
    """
    differing = []
    pairs = zip(TOOLS["code_cells"](stored), TOOLS["code_cells"](found), strict=True)
    for number, cells in enumerate(pairs, 1):
        before, after = (TOOLS["output_text"](cell) for cell in cells)
        tags = cells[0]["metadata"].get("tags", [])
        if "varies" in tags:
            same = before.count("\n") == after.count("\n")
        else:
            same = before == after if "exact" in tags else masked(before) == masked(after)
        if not same:
            differing.append(number)
    return differing


def test_the_outputs_are_of_this_code() -> None:
    """`python tools/run_notebook.py docs/tutorial/first_network.ipynb` renews them."""
    stored = read(NOTEBOOK)
    assert stored["metadata"][TOOLS["SHA256"]] == TOOLS["code_sha256"](stored)
    cells = TOOLS["code_cells"](stored)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell["outputs"]) for cell in cells) > 8


def test_every_link_leads_to_a_file() -> None:
    text = "".join("".join(cell["source"]) for cell in read(NOTEBOOK)["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert [link for link in links if not (NOTEBOOK.parent / link).is_file()] == []


@pytest.mark.parametrize(
    ("tag", "before", "after", "differs"),
    [
        ("", "host: top-1 95.8 %", "host: top-1 8 %", False),
        ("", "host: top-1 95.8 %", "host: top-2 of 95.8 %", True),
        ("", "flash   9,048", "flash  19,048", False),
        ("exact", "0 of 5 layers differ", "1 of 5 layers differ", True),
        ("exact", "True", "True", False),
        ("varies", "##\n..\n", "..\n%%\n", False),
        ("varies", "##\n..\n", "..\n", True),
    ],
)
def test_a_stale_output_is_found(tag: str, before: str, after: str, differs: bool) -> None:
    def notebook(text: str) -> dict[str, Any]:
        outputs = [{"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}]
        return {"cells": [{"cell_type": "code", "metadata": {"tags": [tag]}, "source": [], "outputs": outputs}]}

    assert differing_cells(notebook(before), notebook(after)) == ([1] if differs else [])


@pytest.mark.slow
@pytest.mark.keras
def test_the_notebook_gives_the_stored_outputs(tmp_path: Path) -> None:
    """In a process of its own, as TensorFlow's settings are the process's."""
    out = tmp_path / "executed.ipynb"
    command = [sys.executable, str(TOOL), str(NOTEBOOK), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert differing_cells(read(NOTEBOOK), read(out)) == []
