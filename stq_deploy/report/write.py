"""The files that a run and a build leave for people, and a run for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stq_deploy.errors import StqError
from stq_deploy.evaluation.memory_plan import MemoryPlan
from stq_deploy.evaluation.summary import RunSummary
from stq_deploy.files import MAXIMUM_JSON_BYTES, check_output, read_bounded, write_whole

PAGE = "report.html"
DATA = "run.json"
MEMORY_PAGE = "memory.html"


def write_reports(summary: RunSummary, folder: Path, data: dict[str, Any] | None = None) -> Path:
    """Write report.html and run.json into `folder`; returns the path of the page.

    Args:
        data: what run.json holds; by default the summary.

    Raises:
        StqError: the folder cannot be written.
    """
    from stq_deploy.report.page import render_report  # matplotlib takes a second: not before there is a page to write

    content = summary.as_json() if data is None else data
    write_whole(folder / DATA, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_whole(folder / PAGE, render_report(summary))
    return folder / PAGE


def check_reports(folder: Path) -> None:
    """Refuse, before anything runs, a folder whose report.html or run.json no run of ours wrote.

    Raises:
        StqError: naming that file.
    """
    for name, what, recognize in (
        (DATA, "the record of a run", _is_run_record),
        (PAGE, "the report of a run", lambda path: _is_run_record(path.with_name(DATA))),
    ):
        check_output(folder / name, what=what, recognize=recognize, force_option=False)


def _is_run_record(path: Path) -> bool:
    try:
        record = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError, StqError):
        return False
    return isinstance(record, dict) and {"board", "model_hash", "build_id", "results"} <= record.keys()


def memory_page(plan: MemoryPlan, *, title: str, build_id: str) -> dict[str, str]:
    """memory.html of a build, as `build_firmware` takes further files: name -> text."""
    from stq_deploy.report.memory_page import render_memory_page

    return {MEMORY_PAGE: render_memory_page(plan, title=title, build_id=build_id)}
