"""How long tests take, in processor seconds: measured with `pytest --measure`, kept in `tests/durations.json`.

Processor time is that of the test's process and of the children that it waited for. A busy computer makes a test wait,
but hardly changes this figure. A test function is *slow* if one of its cases took more than `SLOW_CASE` seconds, or all
of them more than `SLOW_FUNCTION`. The set-up of a case counts, so the first user of an expensive fixture pays for it. A
test that needs TensorFlow is slow whatever it takes: the import alone takes five seconds in each process.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.common.files import write_whole

FILE = Path(__file__).resolve().parent.parent / "durations.json"
TOP = FILE.parent.parent
SLOW_CASE = 0.4
SLOW_FUNCTION = 1.0
KEPT = 0.3
"""Functions that take less than this many seconds are not written down."""

_TEST = re.compile(r"^ *def (test_\w+)", re.MULTILINE)
_NEEDS_TENSORFLOW = re.compile(r"^pytestmark = pytest\.mark\.keras$", re.MULTILINE)


@dataclass(frozen=True)
class Duration:
    """Processor seconds of a test function.

    Attributes:
        largest: of the case that took longest.
        total: of all cases.
    """

    largest: float
    total: float

    @property
    def slow(self) -> bool:
        return self.largest > SLOW_CASE or self.total > SLOW_FUNCTION


def function_of(node: str) -> str:
    """The test function of a pytest node, without the case: `tests/test_x.py::test_y`."""
    return node.partition("[")[0]


def wholly_slow(file: Path, known: Mapping[str, Duration]) -> bool:
    """Whether all tests of a file are slow, as its text shows: all need TensorFlow, or all were measured so."""
    if not file.name.startswith("test_") or file.suffix != ".py":
        return False
    text = file.read_text(encoding="utf-8")
    if _NEEDS_TENSORFLOW.search(text):
        return True
    path = file.relative_to(TOP).as_posix() if file.is_relative_to(TOP) else ""
    durations = [known.get(f"{path}::{name}") for name in _TEST.findall(text)]
    return bool(durations) and all(duration is not None and duration.slow for duration in durations)


def processor_seconds() -> float:
    """Processor time of this process and of all children that have ended and were waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def read_durations(file: Path = FILE) -> dict[str, Duration]:
    """Test function -> what it took when it was last measured; a function that is not named is quick."""
    if not file.exists():
        return {}
    return {name: Duration(*pair) for name, pair in json.loads(file.read_text(encoding="utf-8")).items()}


def merge(known: Mapping[str, Duration], measured: Iterable[tuple[str, float]]) -> dict[str, Duration]:
    """What was known, with the functions that were measured again replaced, and those that are gone left out.

    Args:
        known: by function.
        measured: (node, seconds) of each case that ran.
    """
    cases: dict[str, list[float]] = {}
    for node, seconds in measured:
        cases.setdefault(function_of(node), []).append(seconds)
    new = {name: Duration(round(max(times), 1), round(sum(times), 1)) for name, times in cases.items()}
    merged = {name: duration for name, duration in {**known, **new}.items() if exists(name)}
    return {name: merged[name] for name in sorted(merged) if merged[name].total >= KEPT}


def exists(function: str) -> bool:
    """Whether the file of a test function defines one of that name."""
    path, _, name = function.partition("::")
    file = TOP / path
    return file.is_file() and re.search(rf"\bdef {re.escape(name.rpartition('::')[2])}\b", file.read_text()) is not None


def write_durations(durations: Mapping[str, Duration], file: Path = FILE) -> None:
    lines = [f"{json.dumps(name)}: [{duration.largest}, {duration.total}]" for name, duration in durations.items()]
    write_whole(file, "{\n" + ",\n".join(lines) + "\n}\n")
