"""The C of the repository is formatted by .clang-format."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
FOLDERS = ("firmware_templates", "boards", "examples")
SOURCES = sorted(path for folder in FOLDERS for path in (TOP / folder).rglob("*.[ch]"))
VERSION = 14
"""Other versions lay some lines out otherwise."""


def _clang_format() -> str:
    """Path of clang-format; the test is skipped where it, or this version of it, is missing."""
    path = shutil.which("clang-format")
    if path is None:
        pytest.skip("clang-format is not installed")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)", said)
    if version is None or int(version[1]) != VERSION:
        pytest.skip(f"clang-format {VERSION} is wanted, not {said.strip()}")
    return path


def test_there_is_c_to_check() -> None:
    assert len(SOURCES) > 90
    assert {path.relative_to(TOP).parts[0] for path in SOURCES} == set(FOLDERS)


def test_the_c_is_formatted() -> None:
    found = subprocess.run(
        [_clang_format(), "--dry-run", "-Werror", *map(str, SOURCES)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, f"run clang-format -i on these:\n{found.stderr}"
