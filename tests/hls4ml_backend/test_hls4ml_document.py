"""docs/HLS4ML.md says what is so: its example runs and prints what it says, its figures are those of the tool."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIZES = re.compile(r"(flash|RAM|stack) \d+")  # these depend on the compiler


def document() -> str:
    return (DOCS / "HLS4ML.md").read_text()


@pytest.mark.keras
def test_the_example_prints_what_the_document_says(tmp_path: Path) -> None:
    found = re.search(
        r"```python\n(?P<code>.*?)```\n\nThe example prints [^`]*```\n(?P<output>.*?)```", document(), re.DOTALL
    )
    assert found is not None
    command = [sys.executable, "-c", found["code"]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert SIZES.sub(r"\1 N", done.stdout) == SIZES.sub(r"\1 N", found["output"])
    assert (tmp_path / "out/hls4ml/firmware.elf").is_file()


def test_the_figures_are_the_tools() -> None:
    figures = json.loads((DOCS / "figures/hls4ml_oracle.json").read_text())
    assert figures["differing"] == 0
    said = f"{figures['logits']:,} logits of {len(figures['models'])} models, {figures['differing']} differ"
    assert said in document()
