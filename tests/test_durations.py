"""Which tests are slow: by the slowest case or by all of them, and what a new measurement changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.durations import (
    KEPT,
    SLOW_CASE,
    SLOW_FUNCTION,
    Duration,
    merge,
    processor_seconds,
    read_durations,
    wholly_slow,
    write_durations,
)

HERE = "tests/test_durations.py"
OWN = f"{HERE}::test_slow_by_a_case_or_by_all"
OTHER = f"{HERE}::test_a_measurement_replaces_what_was_measured_again"


@pytest.mark.parametrize(
    ("largest", "total", "slow"),
    [(SLOW_CASE, SLOW_FUNCTION, False), (SLOW_CASE + 0.1, SLOW_CASE + 0.1, True), (0.1, SLOW_FUNCTION + 0.1, True)],
)
def test_slow_by_a_case_or_by_all(largest: float, total: float, slow: bool) -> None:
    assert Duration(largest, total).slow is slow


def test_a_measurement_replaces_what_was_measured_again() -> None:
    known = {
        OWN: Duration(9, 9),
        OTHER: Duration(2, 3),
        f"{HERE}::test_gone": Duration(5, 5),
        "tests/gone.py::test_x": Duration(5, 5),
    }
    measured = [(f"{OWN}[a::b]", 1.24), (f"{OWN}[c]", 0.5)]
    assert merge(known, measured) == {OTHER: Duration(2, 3), OWN: Duration(1.2, 1.7)}
    assert merge(known, [(OWN, KEPT / 2)]) == {OTHER: Duration(2, 3)}


@pytest.mark.parametrize(
    ("text", "slow"),
    [
        ("import pytest\n\npytestmark = pytest.mark.keras\n\n\ndef test_x() -> None: ...\n", True),
        ("def test_x() -> None: ...\n", False),
        ("@pytest.mark.keras\ndef test_x() -> None: ...\n\n\ndef test_y() -> None: ...\n", False),
        ("X = 1\n", False),
    ],
)
def test_files_of_slow_tests_alone(text: str, slow: bool, tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(text)
    (tmp_path / "helper.py").write_text(text)
    assert wholly_slow(tmp_path / "test_some.py", {}) is slow
    assert not wholly_slow(tmp_path / "helper.py", {})


def test_a_file_is_wholly_slow_if_every_function_was_measured_so() -> None:
    file = Path(__file__)
    names = [name for name in globals() if name.startswith("test_")]
    known = {f"{HERE}::{name}": Duration(9, 9) for name in names}
    assert wholly_slow(file, known)
    assert not wholly_slow(file, known | {f"{HERE}::{names[0]}": Duration(0.1, 0.1)})
    del known[f"{HERE}::{names[0]}"]
    assert not wholly_slow(file, known)


def test_a_file_comes_back(tmp_path: Path) -> None:
    durations = {OWN: Duration(1.5, 2.25), OTHER: Duration(0.5, 0.5)}
    write_durations(durations, tmp_path / "durations.json")
    assert read_durations(tmp_path / "durations.json") == durations
    assert read_durations(tmp_path / "absent.json") == {}


def test_the_time_of_children_counts() -> None:
    before = processor_seconds()
    code = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert processor_seconds() - before >= 0.15  # the clock of processor time has ticks of 0.01 s


def test_some_tests_are_slow() -> None:
    """The committed file is read, and its rule leaves tests out."""
    assert any(duration.slow for duration in read_durations().values())
