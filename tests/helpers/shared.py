"""What the processes of one test run share, so that each of them need not build it."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest


def session_folder(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Path:
    """A temporary folder of this run, the same in all its processes."""
    base = factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


def made_once(path: Path, make: Callable[[Path], None]) -> Path:
    """A file that the first process makes and the others wait for.

    Args:
        make: writes the file at the path that it gets, or raises. A failure leaves no file.
    """
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = path.with_suffix(".part")
            make(part)
            part.rename(path)
    return path
