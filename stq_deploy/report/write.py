"""The files a run leaves for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stq_deploy.evaluation.summary import RunSummary
from stq_deploy.files import write_whole

PAGE = "report.html"
DATA = "run.json"


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
