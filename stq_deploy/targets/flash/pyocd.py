"""Calls pyocd, always as a process with a time-out; never waits for a probe to be plugged in."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.common.errors import StqError

LIST_TIMEOUT_S = 30.0
PROGRAM_TIMEOUT_S = 180.0  # 2 MiB at a slow probe's 20 KiB/s, and erasing before


@dataclass(frozen=True)
class Probe:
    """A debug probe that is plugged in.

    Attributes:
        uid: its serial number.
        description: vendor and board, or vendor and product, as the probe states them.
    """

    uid: str
    description: str


def find_pyocd() -> tuple[str, ...]:
    """The command that starts pyocd.

    Raises:
        StqError: it is not installed.
    """
    on_path = shutil.which("pyocd")
    if on_path:
        return (on_path,)
    if importlib.util.find_spec("pyocd"):
        return (sys.executable, "-m", "pyocd")
    raise StqError("pyocd, which writes the flash, is not installed", next="pip install pyocd")


def list_probes() -> list[Probe]:
    """The probes plugged in, in pyocd's order.

    Raises:
        StqError: pyocd is missing, hangs, or prints anything except its JSON.
    """
    done = _run([*find_pyocd(), "json", "--probes", "--no-config"], LIST_TIMEOUT_S, "listing the probes")
    try:
        answer = json.loads(done.stdout)
        if answer["status"] != 0:
            raise StqError(f"pyocd cannot list the probes: {answer.get('error', 'no reason given')}")
        return [Probe(str(board["unique_id"]), str(board["info"])) for board in answer["boards"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StqError(
            "pyocd's list of probes cannot be read",
            cause=_last_line(done.stderr or done.stdout) or "its version is unknown to us",
            next="run `pyocd json --probes` to see; version 0.36 or later is needed",
        ) from error


def program(image: Path, target: str, uid: str) -> subprocess.CompletedProcess[str]:
    """Write `image` (ELF or HEX) through probe `uid` and reset; the caller checks the result.

    Raises:
        StqError: pyocd is missing, or does not end.
    """
    command = [
        *find_pyocd(), "load", "--no-wait", "--no-config", "--uid", uid, "--target", target,
        "--erase", "sector", "--format", image.suffix.removeprefix("."), str(image),
    ]  # fmt: skip
    return _run(command, PROGRAM_TIMEOUT_S, "writing the flash")


def _run(command: list[str], timeout: float, doing: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
            stdin=subprocess.DEVNULL,  # pyocd asks when it has a choice; without standard input it cannot hang
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StqError(
            f"pyocd did not finish {doing} within {timeout:.0f} s",
            cause="the probe or the board hangs",
            next="unplug the board, plug it in again, and repeat",
        ) from error
    except OSError as error:
        raise StqError(f"pyocd does not start: {error.strerror}", where=command[0]) from error


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
