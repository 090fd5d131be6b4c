"""The files that a run and a build leave for people, and a run for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stq_deploy.evaluation.memory_plan import MemoryPlan
from stq_deploy.evaluation.summary import RunSummary
from stq_deploy.files import write_whole

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


def write_memory_page(plan: MemoryPlan, folder: Path, *, title: str, build_id: str) -> Path:
    """Write memory.html into a build's folder; returns its path.

    Raises:
        StqError: the folder cannot be written.
    """
    from stq_deploy.report.memory_page import render_memory_page

    write_whole(folder / MEMORY_PAGE, render_memory_page(plan, title=title, build_id=build_id))
    return folder / MEMORY_PAGE
