"""When, by what command and on what computer results were made."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """For the head of a report.

    Attributes:
        date: local time to the minute, with its offset from UTC.
        command: the command line, without the program's folder.
        computer: processor, cores, system and Python; no name that identifies its owner.
    """

    date: str
    command: str
    computer: str

    @classmethod
    def now(cls) -> Origin:
        """The origin of this process's results."""
        program = Path(sys.argv[0]).name if sys.argv else "stq-deploy"
        return cls(
            date=datetime.now().astimezone().isoformat(" ", "minutes"),
            command=shlex.join([program, *sys.argv[1:]]),
            computer=f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
            f"Python {platform.python_version()}",
        )


def _processor() -> str:
    """The processor's name, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
