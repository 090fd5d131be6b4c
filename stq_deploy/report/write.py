"""The files of a run and a build for people, and of a run for programs."""

from __future__ import annotations

import json
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import MAXIMUM_JSON_BYTES, check_output, read_bounded, write_whole
from stq_deploy.evaluation.demo import Demo
from stq_deploy.evaluation.summary import RunSummary
from stq_deploy.network.summary import network_title
from stq_deploy.report.tables import layers_csv, results_csv
from stq_deploy.toolchain.build import Pages
from stq_deploy.toolchain.built import BuiltFirmware

PAGE = "report.html"
DATA = "run.json"
RESULTS_TABLE = "results.csv"
LAYERS_TABLE = "layers.csv"
MEMORY_PAGE = "memory.html"


def write_reports(found: RunSummary | Demo, folder: Path) -> Path:
    """Write report.html, run.json and two tables (.csv) into `folder`; returns the path of the page.

    Args:
        found: the results of a run, or of the demo, which run.json then holds too.

    Raises:
        StqError: the folder cannot be written.
    """
    from stq_deploy.report.page import render_report  # matplotlib takes a second: not before there is a page to write

    summary = found.summary if isinstance(found, Demo) else found
    write_whole(folder / DATA, json.dumps(found.to_json(), indent=1, allow_nan=False) + "\n")
    write_whole(folder / RESULTS_TABLE, results_csv(summary))
    write_whole(folder / LAYERS_TABLE, layers_csv(summary))
    write_whole(folder / PAGE, render_report(summary))
    return folder / PAGE


def check_reports(folder: Path) -> None:
    """Refuse, before anything runs, a folder with a report, record or table that no run of ours wrote.

    Raises:
        StqError: naming that file.
    """
    for name, what, recognize in (
        (DATA, "the record of a run", _is_run_record),
        (PAGE, "the report of a run", lambda path: _is_run_record(path.with_name(DATA))),
        (RESULTS_TABLE, "a table of a run", lambda path: _is_run_record(path.with_name(DATA))),
        (LAYERS_TABLE, "a table of a run", lambda path: _is_run_record(path.with_name(DATA))),
    ):
        check_output(folder / name, what=what, recognize=recognize, force_option=False)


def _is_run_record(path: Path) -> bool:
    try:
        record = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError, StqError):
        return False
    return isinstance(record, dict) and {"board", "model_hash", "build_id", "results"} <= record.keys()


def build_pages(model: str = "") -> Pages:
    """Write the page beside a build's firmware: memory.html.

    Args:
        model: name for a network without one.
    """

    def pages(firmware: BuiltFirmware) -> dict[str, str]:
        from stq_deploy.report.memory_page import render_memory_page

        title = f"Memory of {network_title(firmware.program.network) or model} on {firmware.board}"
        return {MEMORY_PAGE: render_memory_page(firmware, title=title)}

    return pages
