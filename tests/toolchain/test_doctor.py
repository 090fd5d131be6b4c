"""What doctor says is installed, and how it says that something is not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from stq_deploy.cli import cli
from stq_deploy.toolchain import installation_checks as checks
from stq_deploy.toolchain.installation_checks import (
    Extra,
    check_board_compilers,
    check_extra,
    check_host_compilers,
)


def test_a_package_that_is_installed() -> None:
    check = check_extra(Extra("test", ("pytest", "hypothesis"), "tests"))
    assert check.present and not check.advice
    assert f"pytest {pytest.__version__}" in check.found


def test_a_package_that_is_not() -> None:
    check = check_extra(Extra("odd", ("pytest", "no_such_module"), "nothing"))
    assert not check.present
    assert check.found.startswith("lacks no_such_module; pytest")
    assert "'.[odd]'" in check.advice


def test_nothing_is_imported() -> None:
    """TensorFlow alone takes seconds."""
    program = """
import sys
from stq_deploy.toolchain.installation_checks import EXTRAS, check_extra
list(map(check_extra, EXTRAS))
print({module for extra in EXTRAS for module in extra.modules} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


def test_no_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("STQ_DEPLOY_CC", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    checks = [*check_board_compilers(), *check_host_compilers()]
    assert not any(check.present for check in checks)
    assert all(check.advice for check in checks)
    assert [check.name for check in checks if check.required] == [
        "compiler that `build` takes",
        "C compiler for this computer",
    ]


@pytest.mark.parametrize("healthy", [True, False])
def test_command_exits_by_what_is_needed(monkeypatch: pytest.MonkeyPatch, healthy: bool) -> None:
    needed = checks.Check("needed", healthy, "found", "all", "" if healthy else "install it", required=True)
    optional = checks.Check("optional", False, "not installed", "some", "install that")
    monkeypatch.setattr(checks, "toolchain_checks", lambda: iter([needed, optional]))
    done = CliRunner().invoke(cli, ["doctor", "--json"])
    assert done.exit_code == (0 if healthy else 1)
    answer = json.loads(done.stdout)
    assert answer["healthy"] is healthy
    assert [check["name"] for check in answer["checks"]][:2] == ["needed", "optional"]
    text = CliRunner().invoke(cli, ["doctor"]).stdout
    assert "get it:   install that" in text
    assert ("NEED  needed" in text) is not healthy


def test_boards_are_listed() -> None:
    answer = json.loads(CliRunner().invoke(cli, ["boards", "--json"]).stdout)
    (board,) = (row for row in answer["boards"] if row["board"] == "stm32h743")
    assert (board["clock_hz"], board["flash_bytes"]) == (480_000_000, 2 * 1024 * 1024)
    assert {row["board"]: (row["emulator"], row["flash_tool"][:5]) for row in answer["boards"]} == {
        "stm32h743": ("unicorn", "pyocd"),
        "mps2-an500": ("qemu", "none:"),
    }
