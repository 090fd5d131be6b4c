"""The tools refuse, before any work, to write onto what they read, or onto files that are none of theirs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stq_deploy.research.training.result import git_commit
from tools.figures_file import write_figures

TOOLS = Path(__file__).resolve().parents[1] / "tools"
IN_A_TEMPORARY_FOLDER = {
    "compare_attacks.py": {"savez", "write_text"},  # two processes hand arrays to each other
    "compare_attacks_torch.py": {"savez", "write_text"},
    "compare_formats.py": {"save", "savez"},  # models and arrays for the processes in other environments
    "formats_keras3.py": {"save"},
    "formats_torch.py": {"save"},
    "fuzz_c_link.py": {"write_text", "write_bytes"},  # what is compiled, and the fuzzer's first inputs
    "fuzz_import.py": {"write_text", "write_bytes"},  # mutated files
    "make_hgq2_models.py": {"save"},
    "public_models.py": {"save"},
    "make_keras3_models.py": {"save"},  # Keras's own, of models and arrays for tests, into a folder of the checkout
    "make_onnx_models.py": {"save"},  # onnx's own, likewise
}
"""Tools whose files are not results, or are the tests' own, and the functions that write the files."""
FIGURES = [
    "bench_convert",
    "bench_kernels",
    "build_schemes",
    "check_cycles",
    "compare_emulators",
    "emulated_rate",
    "mlperf_few_bits",
    "mlperf_tiny",
]


@pytest.mark.keras
@pytest.mark.parametrize("tool", [*FIGURES, "run_hls4ml_tests", "tflite_cases"])
def test_a_foreign_file_stays(tool: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    arguments = {
        "mlperf_tiny": ["--data", tmp_path, "--json", notes],
        "run_hls4ml_tests": [tmp_path, "--out", notes],
        "tflite_cases": [notes],
    }.get(tool, ["--json", notes])
    command = [sys.executable, TOOLS / f"{tool}.py", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    assert "notes.txt: " in done.stderr and "choose another output path" in done.stderr
    assert "Traceback" not in done.stderr
    assert notes.read_text() == "mine"


def test_every_tool_writes_whole_files() -> None:
    """None opens a file to write to it, or lets pathlib or NumPy do so; hls4ml's plugin appends to a temporary file."""
    writers = {"write_text", "write_bytes", "save", "savez", "tofile", "dump"}
    for path in TOOLS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                exchanged = name in IN_A_TEMPORARY_FOLDER.get(path.name, ())
                assert exchanged or name not in writers, (path.name, node.lineno)
                modes = [a.value for a in node.args[:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                assert name != "open" or not any(set("wx+") & set(mode) for mode in modes), (path.name, node.lineno)


def test_figures_state_the_commit_that_they_were_measured_at(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    write_figures(figures, {"layers": 3})
    found = json.loads(figures.read_text())
    assert found == {"commit": git_commit(), "layers": 3}
    assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}(-dirty)?", found["commit"])
