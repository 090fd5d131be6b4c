"""Which compiler is taken, and what is said when there is none."""

from __future__ import annotations

import importlib.util
import shutil
import stat
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.toolchain.compilers import (
    COMMA_DEPS,
    ENVIRONMENT_VARIABLE,
    GCC,
    ZIGLANG,
    candidates,
    find_compiler,
)

ARM_GCC = """#!/bin/sh
case "$1" in
-dumpmachine) echo arm-none-eabi ;;
--version) echo "$0 (Test Toolchain 13.2) 13.2.1 20231009" ; echo "Copyright" ;;
*) exit 1 ;;
esac
"""
ZIG = """#!/bin/sh
[ "$1" = version ] && echo 0.13.0 || exit 1
"""
HOST_GCC = """#!/bin/sh
[ "$1" = -dumpmachine ] && echo x86_64-linux-gnu || exit 1
"""


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any compiler; returns the only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return folder


def test_none_at_all_tells_how_to_get_one(bare: Path) -> None:
    with pytest.raises(StqError, match="no compiler for the board was found") as caught:
        find_compiler()
    for advice in (
        "apt-get install gcc-arm-none-eabi",
        f"pip install {COMMA_DEPS}",
        f"pip install {ZIGLANG}",
    ):
        assert advice in caught.value.next


def test_the_order_of_the_search() -> None:
    assert [c.name for c in candidates()] == [GCC, COMMA_DEPS, ZIGLANG]


def test_gcc_on_path(bare: Path) -> None:
    program(bare, GCC, ARM_GCC)
    found = find_compiler()
    assert (found.family, found.origin) == ("gcc", GCC)
    # Without the path it was started by: equal compilers have equal versions wherever they lie.
    assert found.version == f"{GCC} (Test Toolchain 13.2) 13.2.1 20231009"


def test_a_broken_compiler_is_passed_over(bare: Path) -> None:
    program(bare, GCC, "#!/bin/sh\nexit 1\n")
    with pytest.raises(StqError, match="no compiler for the board"):
        find_compiler()


def test_the_option_wins_over_the_variable_and_the_path(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare, GCC, ARM_GCC)
    zig = program(tmp_path, "zig", ZIG)
    other = program(tmp_path, "other-gcc", ARM_GCC)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(zig))
    by_variable, by_option = find_compiler(), find_compiler(str(other))
    assert (by_variable.family, by_variable.command, by_variable.version) == (
        "zig",
        (str(zig),),
        "zig 0.13.0",
    )
    assert (by_option.family, by_option.command) == ("gcc", (str(other),))
    assert (by_variable.origin, by_option.origin) == (ENVIRONMENT_VARIABLE, "--compiler")


def test_a_relative_path_becomes_absolute(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = program(tmp_path, "other-gcc", ARM_GCC)
    monkeypatch.chdir(tmp_path)
    assert find_compiler("./other-gcc").command == (str(other),)


def test_zig_gets_a_cache_of_its_own(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    monkeypatch.setenv("ZIG_LOCAL_CACHE_DIR", "/chosen")
    environment = find_compiler(str(program(tmp_path, "zig", ZIG))).environment
    assert environment == {
        "ZIG_GLOBAL_CACHE_DIR": str(tmp_path / "cache" / "stq-deploy" / "zig"),
        "ZIG_LOCAL_CACHE_DIR": "/chosen",
    }


@pytest.mark.parametrize("variable", [False, True])
def test_an_absent_compiler_asked_for(bare: Path, monkeypatch: pytest.MonkeyPatch, variable: bool) -> None:
    program(bare, GCC, ARM_GCC)
    if variable:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, "/absent/gcc")
    with pytest.raises(StqError, match="there is no compiler '/absent/gcc'") as caught:
        find_compiler(None if variable else "/absent/gcc")
    assert caught.value.where == (ENVIRONMENT_VARIABLE if variable else "--compiler")


def test_a_compiler_for_the_host_is_refused(bare: Path) -> None:
    program(bare, "gcc", HOST_GCC)
    with pytest.raises(StqError, match="neither a GCC for bare-metal Arm nor zig"):
        find_compiler("gcc")


def test_a_known_name_that_is_not_installed(bare: Path) -> None:
    with pytest.raises(StqError, match=f"{COMMA_DEPS} is not installed") as caught:
        find_compiler(COMMA_DEPS)
    assert "pip install" in caught.value.next
