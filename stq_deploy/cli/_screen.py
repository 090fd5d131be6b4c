"""Talking to people: tables, progress and JSON, in the same way by every command that uses them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

FILE_WIDTH = 120
"""Columns of a table that goes to a file or a pipe, which has no width of its own."""


def human_console() -> Console:
    """Where text for people goes: standard error, so that standard output holds results alone."""
    return _console(stderr=True)


def result_console(as_json: bool) -> Console:
    """Where tables of results go: standard output, unless that is to hold JSON."""
    return _console(stderr=as_json)


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=FILE_WIDTH)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))


def printable(text: str) -> str:
    """Untrusted text without control characters, line ends, or marks that turn the writing's direction."""
    return "".join(c if c.isprintable() else "?" for c in text)


def plain(text: str) -> str:
    """Untrusted text for a console that reads rich's markup."""
    from rich.markup import escape

    return escape(printable(text))


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on standard error, if that is a terminal; the callable is told (title, done, of how many)."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = human_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def update(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = progress.add_task(plain(title), total=total)
            progress.update(tasks[title], completed=done)

        yield update
