"""Frama-C's EVA over the board's side of the link: every memory access, for any number of any bytes from the line.

Compares the alarms it raises with those that `eva_alarms.toml` explains. Needs Frama-C (Debian: frama-c-base).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.common.resources import firmware_templates

TESTS = Path(__file__).resolve().parent.parent / "tests" / "link"
EXPLAINED = TESTS / "eva_alarms.toml"
_SECONDS = 3600
_ALARM = re.compile(r"^\[eva:alarm\] (\S+):\d+: Warning:\s+(.*?)(?=^\[|^  stack:|\Z)", re.MULTILINE | re.DOTALL)
_REACHED = re.compile(r"(\d+) statements reached \(out of (\d+)\)")


@dataclass(frozen=True, order=True)
class Alarm:
    """An alarm of EVA, which it could not disprove: file without its folder, and its words on one line."""

    file: str
    says: str


def read_alarms(report: str) -> set[Alarm]:
    """The alarms in EVA's output."""
    return {Alarm(Path(file).name, " ".join(text.split())) for file, text in _ALARM.findall(report)}


def read_explained(path: Path = EXPLAINED) -> dict[Alarm, str]:
    """Alarm -> why it holds all the same.

    Raises:
        ValueError: an entry without an explanation, or one that is there twice.
    """
    found: dict[Alarm, str] = {}
    for entry in tomllib.loads(path.read_text())["alarm"]:
        alarm = Alarm(entry["file"], entry["says"])
        if alarm in found or not entry["why"].strip():
            raise ValueError(f"{path.name}: {alarm} is there twice, or without an explanation")
        found[alarm] = entry["why"]
    return found


def analyse(link: Path | None = None) -> str:
    """EVA's output for the link's sources, by default the shipped ones."""
    link = link or firmware_templates() / "link"
    includes = " ".join(f"-I{path}" for path in (TESTS / "c", link, firmware_templates() / "kernels" / "include"))
    command = [
        "frama-c", "-machdep", "gcc_x86_32", f"-cpp-extra-args=-DSTQ_NETWORK_INPUT_BYTES=64 {includes}",
        "-eva", "-eva-precision", "2", "-eva-split-return", "auto", str(TESTS / "c" / "eva_board.c"),
        *map(str, sorted(link.glob("*.c"))),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0 or not _REACHED.search(done.stdout):
        raise RuntimeError(f"frama-c failed (exit code {done.returncode}):\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def main() -> int:
    argparse.ArgumentParser(prog="tools/check_eva", description=__doc__).parse_args()
    if shutil.which("frama-c") is None:
        print("frama-c is not installed (Debian: frama-c-base)", file=sys.stderr)
        return 1
    report = analyse()
    raised, explained = read_alarms(report), read_explained()
    reached = _REACHED.search(report)
    assert reached is not None  # `analyse` has looked
    print(f"{reached[1]} of {reached[2]} statements reached, {len(raised)} kinds of alarm, {len(explained)} explained")
    for alarm in sorted(raised - explained.keys()):
        print(f"not explained: {alarm.file}: {alarm.says}")
    for alarm in sorted(explained.keys() - raised):
        print(f"explained, but not raised any more: {alarm.file}: {alarm.says}")
    return 1 if raised != explained.keys() else 0


if __name__ == "__main__":
    sys.exit(main())
