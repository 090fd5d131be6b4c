"""Output of all commands: tables, progress and JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from stq_deploy.common.errors import printable
from stq_deploy.common.progress import Progress

FILE_WIDTH = 120
"""Columns of a table that goes to a file or a pipe, which has no width of its own."""


def human_console() -> Console:
    """The console for people: standard error, so that standard output has only results."""
    return _console(stderr=True)


def result_console(as_json: bool) -> Console:
    """The console for tables of results: standard output, unless that is for JSON."""
    return _console(stderr=as_json)


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=FILE_WIDTH)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))


def plain(text: str) -> str:
    """Untrusted text for a console that reads rich's markup."""
    from rich.markup import escape

    return escape(printable(text))


SECONDS_BETWEEN_LINES = 5.0
"""Seconds between two lines about the same stage, where standard error is not a terminal."""


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Shows stages on standard error: bars on a terminal, elsewhere a line at the start and every few seconds."""
    console = human_console()
    if console.is_terminal:
        with _bars(console) as update:
            yield update
    else:
        yield _Lines(console)


class _Lines:
    """Progress for files, pipes and logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        last = self._last.get(stage)
        if last is None:
            self._last[stage] = now
            self._print(f"{stage} ...")
        elif done < total and now - last >= SECONDS_BETWEEN_LINES:
            self._last[stage] = now
            self._print(f"{stage}: {done:,} of {total:,}")

    def _print(self, text: str) -> None:
        self._console.print(plain(text), soft_wrap=True)


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=console, transient=True) as bars:

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(plain(stage), total=None, count="")
            if total > 1:
                bars.update(tasks[stage], total=total, completed=done, count=f"{done:,} of {total:,}")
            elif done >= total:  # until then the bar moves, because the total is unknown
                bars.update(tasks[stage], total=total, completed=done)

        yield update
