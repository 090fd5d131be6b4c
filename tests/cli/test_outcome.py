"""However a command ends, it ends in words, with its exit code, and with JSON where that was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stq_deploy.cli import COMMANDS
from stq_deploy.common.errors import StqError
from tests.helpers.command_line import invoke

COMMAND = [sys.executable, "-m", "stq_deploy"]


def run(*arguments: str | bytes, **others: Any) -> subprocess.CompletedProcess[bytes]:
    """The program as a process of its own."""
    environment = {**os.environ, **others.pop("env", {})}
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output="stdout" not in others,
        env=environment,
        timeout=60,
        check=False,
        **others,
    )


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stq-deploy zoo` meets this error."""

    def fail() -> None:
        raise error

    monkeypatch.setattr("stq_deploy.zoo.shipped.shipped_models", fail)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("biuld", "build"), ("conver", "convert"), ("crossvalidate", "cross-validate"), ("EVALUATE", ""), ("xyzzy", "")],
)
def test_a_mistyped_command_is_told_what_it_resembles(typed: str, meant: str) -> None:
    done = invoke(typed)
    assert done.exit_code == 2
    assert f"No such command '{typed}'." in done.stderr
    assert ("Did you mean" in done.stderr) == bool(meant)
    assert meant in done.stderr


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["build", "--board", "stm32h742"], "stm32h743"),
        (["build", "--model", "zoo:stq-cifar100"], "zoo:stq-cifar10"),
        (["zoo", "stq-cifar"], "zoo:stq-cifar10"),
        (["verify", "--executors", "numpy,hots"], "host"),
        (["train", "--out", "x", "--recipe", "quantised"], "quantized"),
        (["train", "--out", "x", "--set", "epoch=3"], "epochs"),
        (["attack", "--model", "x", "-o", "x.npz", "--attack", "pdg"], "pgd"),
        (["attack", "--model", "x", "-o", "x.npz", "--attack", "pgd", "--set", "max_itr=3"], "max_iter"),
        (["evaluate", "--dataset", "cifar1O"], "cifar10"),
    ],
)
def test_a_mistyped_name_is_told_what_it_resembles(arguments: list[str], near: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert f"a slip for {near!r}" in done.stderr


WRONG = {
    "demo": ["--board", "x"],
    "inspect": ["absent.h5"],
    "convert": ["absent.h5", "-o", "x.stq"],
    "build": ["--model", "absent.stq"],
    "flash": ["--out", "absent"],
    "run": ["--samples", "absent.npz", "--emulated"],
    "verify": ["--model", "absent.stq"],
    "evaluate": ["--samples", "absent.npz"],
    "attack": ["--model", "absent.h5", "--attack", "x", "-o", "x.npz"],
    "robustness": ["absent.h5"],
    "robustness-sensitivity": ["absent.h5"],
    "certify": ["absent.stq", "--family", "mirror"],
    "zoo": ["absent"],
    "train": ["--out", "x", "--recipe", "absent"],
    "cross-validate": ["--out", "x", "--recipe", "absent"],
    "emulate": ["absent.elf"],
    "profile": ["--model", "absent.stq"],
}


def test_every_command_that_can_fail_is_in_the_table() -> None:
    assert WRONG.keys() == COMMANDS.keys() - {"boards", "doctor"}


@pytest.mark.parametrize("command", WRONG)
def test_an_error_is_a_json_object_too(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(command, *WRONG[command], "--json")
    assert done.exit_code == 1, done.output
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"what", "where", "cause", "next", "exit_code"}
    assert error["what"] and error["exit_code"] == 1
    assert error["what"] in done.stderr and "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []
    assert invoke(command, *WRONG[command]).stdout == ""


@pytest.mark.parametrize("arguments", [["zoo", "--jsn"], ["zoo", "a", "b"], ["build", "--limit"], ["biuld"]])
def test_a_mistake_in_the_command_line_is_one_too(arguments: list[str]) -> None:
    done = invoke(*arguments, "--json")
    assert done.exit_code == 2
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 2 and error["what"] in done.stderr and "--help" in error["next"]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (ValueError("out of\nrange"), 70, "internal error: ValueError: out of range"),
        (RecursionError("deep"), 70, "internal error: RecursionError"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), 70, "internal error: UnicodeEncodeError"),
        (KeyError("\x1b[2J"), 70, "internal error: KeyError"),
        (OSError(28, "No space left on device", "/x/y"), 1, "/x/y: No space left on device"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "/x/y: Permission denied"),
        (MemoryError(), 1, "not enough memory"),
        (ModuleNotFoundError("No module named 'a'", name="a"), 1, "the package a is missing"),
        (StqError("bad \ud800 \x1b[2J name", where="x\ny"), 1, "bad \\ud800 \\x1b[2J name"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 1, ""),
        (SystemExit(3), 3, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_no_error_ends_in_a_traceback(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STQ_DEPLOY_DEBUG", raising=False)
    raising(error, monkeypatch)
    done = invoke("zoo", "--json")
    assert done.exit_code == code
    assert told in done.stderr and "Traceback" not in done.output and "\x1b" not in done.output
    if told:
        assert json.loads(done.stdout)["error"]["exit_code"] == code


@pytest.mark.parametrize("way", ["variable", "option"])
def test_a_traceback_is_there_for_who_wants_it(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(ValueError("bad"), monkeypatch)
    monkeypatch.setenv("STQ_DEPLOY_DEBUG", "1" if way == "variable" else "0")
    done = invoke(*(["--debug"] if way == "option" else []), "zoo")
    assert done.exit_code == 70
    assert "Traceback" in done.stderr and "test_outcome.py" in done.stderr


@pytest.mark.parametrize("arguments", [["zoo"], ["zoo", "--json"], ["boards"], ["--help"], ["zoo", "stq-cifar10"]])
def test_a_full_disk_under_the_output_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = run(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    pipe = subprocess.Popen([*COMMAND, "zoo", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert pipe.stdout is not None and pipe.stderr is not None
    pipe.stdout.close()
    assert pipe.stderr.read() == b""
    pipe.stderr.close()
    pipe.wait(60)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252", "ascii:strict"])
def test_a_path_that_the_terminal_cannot_write(encoding: str, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + "/ж\u202e".encode() + b"\xff.stq"
    for arguments in ([b"inspect", path], [b"inspect", path, b"--json"], [b"build", b"--model", path]):
        done = run(*arguments, env={"PYTHONIOENCODING": encoding})
        assert done.returncode == 1
        assert b"there is no such model file" in done.stderr and b"Traceback" not in done.stderr
        assert b"\xff" not in done.stderr and "\u202e".encode() not in done.stderr
        if b"--json" in arguments:
            assert os.fsencode(json.loads(done.stdout)["error"]["where"]) == path


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_tables_on_a_terminal_of_ascii(variables: dict[str, str]) -> None:
    done = run("inspect", env=variables)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert "convolution" in done.stdout.decode() or "conv" in done.stdout.decode()


def test_closed_streams_are_no_error() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m stq_deploy zoo >&- 2>&-', sys.executable], timeout=60, capture_output=True, check=False
    )
    assert done.stderr == b""
