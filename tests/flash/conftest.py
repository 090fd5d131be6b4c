"""A stand-in for pyocd: a program on PATH that says what pyocd 0.46 says, as read in its source."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fake_pyocd import FAKE, NUCLEO, FakePyocd, probes


@pytest.fixture
def pyocd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePyocd:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "pyocd"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    fake = FakePyocd(folder)
    fake.answer("json", stdout=probes(NUCLEO))
    fake.answer("load")
    return fake


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder that looks like a build."""

    def make(board: str = "stm32h743") -> Path:
        folder = tmp_path / "build"
        folder.mkdir()
        (folder / "build.json").write_text(
            json.dumps({"board": board, "model_hash": "ab" * 32, "build_id": "00ff" * 8})
        )
        (folder / "firmware.elf").write_bytes(b"\x7fELF")
        return folder

    return make
