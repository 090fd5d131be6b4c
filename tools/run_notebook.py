"""Run a notebook's code cells in one namespace, and store their outputs in the notebook.

`python tools/run_notebook.py docs/tutorial/first_network.ipynb` needs no Jupyter. Cells run in a temporary folder. An
output is what a cell prints, and the repr of its last expression. Standard error is not stored, because it depends on
the machine. The notebook also gets the SHA-256 of the code that ran, so that a test can detect stale outputs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from stq_deploy.common.files import write_whole

SHA256 = "executed_code_sha256"
"""Name in the notebook's metadata of the hash of the code that gave its outputs."""


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The notebook's code cells, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def code_sha256(notebook: dict[str, Any]) -> str:
    """SHA-256 (hex) of the code of all cells."""
    code = json.dumps(["".join(cell["source"]) for cell in code_cells(notebook)])
    return hashlib.sha256(code.encode()).hexdigest()


def execute(notebook: dict[str, Any], report: Any = lambda number, text: None) -> None:
    """Run the code cells in order, and replace their outputs.

    Args:
        notebook: in nbformat 4; changed in place.
        report: called with each cell's number from 1 and its output.

    Raises:
        Exception: what a cell raises; later cells do not run.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(notebook), 1):
        printed, value = _run("".join(cell["source"]), f"<cell {number}>", namespace)
        cell["execution_count"] = number
        cell["outputs"] = []
        if printed:
            cell["outputs"].append({"name": "stdout", "output_type": "stream", "text": _lines(printed)})
        if value is not None:
            cell["outputs"].append(
                {
                    "data": {"text/plain": _lines(repr(value))},
                    "execution_count": number,
                    "metadata": {},
                    "output_type": "execute_result",
                }
            )
        report(number, output_text(cell))
    notebook["metadata"][SHA256] = code_sha256(notebook)


def output_text(cell: dict[str, Any]) -> str:
    """The text that a cell printed, and its value."""
    texts = [output["text"] if "text" in output else output["data"]["text/plain"] for output in cell["outputs"]]
    return "\n".join("".join(text) for text in texts)


def _run(source: str, name: str, namespace: dict[str, Any]) -> tuple[str, Any]:
    """Run a cell; returns the text that it prints, and the value of its last statement if that is an expression."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), namespace)  # noqa: S102  # the notebook is this repository's
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), namespace)  # noqa: S307
    return printed.getvalue(), value


def _lines(text: str) -> list[str]:
    """Text as nbformat stores it."""
    return text.splitlines(keepends=True)


def main() -> None:
    """Run the notebook that the command line names."""
    parser = argparse.ArgumentParser(description="Run a notebook and store its outputs.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, help="file to write; by default the notebook itself")
    options = parser.parse_args()
    out = (options.out or options.notebook).resolve()
    notebook = json.loads(options.notebook.read_text(encoding="utf-8"))
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="stq-notebook-") as folder:
        os.chdir(folder)
        try:
            execute(notebook, lambda number, text: print(f"[{number}]\n{text.rstrip()}" if text else f"[{number}]"))
        finally:
            os.chdir(here)
    write_whole(out, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
