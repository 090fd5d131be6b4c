"""Building for the host: the cache, broken compilers, and sanitizers that do find what they should."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import firmware_templates
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.network.ops import Dense
from stq_deploy.program import plan_network
from stq_deploy.toolchain import host_compiler, host_library
from stq_deploy.toolchain.host_library import build_host_library
from tests.helpers.networks import random_levels, random_network

NETWORK = random_network(0)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_what_was_built_is_used_again(host_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build_host_library(plan_network(NETWORK), cache_dir=host_cache)
    monkeypatch.setattr(host_library, "_run", lambda *_: pytest.fail("the compiler was called again"))
    assert build_host_library(plan_network(NETWORK), cache_dir=host_cache) == first
    assert host_cache in first.parents


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build_host_library(plan_network(NETWORK)).is_relative_to(tmp_path / "stq-deploy")


def test_an_unwritable_cache_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StqError, match="cannot write to the cache"):
        build_host_library(plan_network(NETWORK), cache_dir=tmp_path / "file")


def test_no_compiler_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host_compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StqError, match="no C compiler for this computer was found"):
        build_host_library(plan_network(NETWORK), cache_dir=tmp_path)


def test_zig_is_the_last_resort_but_cannot_sanitize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host_compiler.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(host_compiler, "_version", lambda command: "1" if "ziglang" in command else "")
    assert host_compiler.find_host_compiler().command[1:] == ("-m", "ziglang", "cc")
    with pytest.raises(StqError, match="no C compiler with AddressSanitizer"):
        host_compiler.find_host_compiler(sanitize=True)


def test_a_chosen_compiler_that_does_not_start_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(StqError, match="CC=no-such-compiler"):
        host_compiler.find_host_compiler()


def test_a_failing_compiler_is_quoted_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = script(tmp_path / "cc", '[ "$1" = --version ] && echo 1 && exit 0; echo "no luck today" >&2; exit 1')
    monkeypatch.setenv("CC", str(compiler))
    cache = tmp_path / "cache"
    with pytest.raises(StqError, match="no luck today"):
        build_host_library(plan_network(NETWORK), cache_dir=cache)
    assert list(cache.iterdir()) == []


def test_a_library_of_another_machine_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A "compiler" that writes the word no into its output file.
    text = '[ "$1" = --version ] && echo 1 && exit 0; for last; do :; done; echo no > "$last"'
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", text)))
    with pytest.raises(StqError, match="cannot be loaded"):
        HostExecutor(plan_network(NETWORK), cache_dir=tmp_path / "cache")


def test_unknown_kernels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StqError, match="no kernel library 'avx'"):
        build_host_library(plan_network(NETWORK), kernels="avx", cache_dir=tmp_path)


@pytest.fixture
def altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the firmware templates that the host library is built from."""
    copy = tmp_path / "firmware_templates"
    for part in ("kernels", "network"):
        shutil.copytree(firmware_templates() / part, copy / part)
    monkeypatch.setattr(host_library, "firmware_templates", lambda: copy)
    return copy


NETWORK_WITH_TABLE = next(n for n in map(random_network, range(50)) if any(op.kind == "table" for op in n.ops))
BROKEN_TABLE = """
#include "stq_nn.h"
stq_status stq_table_s8(const int8_t *table, int32_t count, const int8_t *input, int8_t *output)
{{
    (void)input;
    for (int32_t i = 0; i < count; i++) {{
        output[i] = {expression};
    }}
    return STQ_OK;
}}
"""


@pytest.mark.parametrize(
    ("expression", "finding"),
    [("table[i + 256]", "global-buffer-overflow"), ("(int8_t)(table[i] << (i + 40))", "shift exponent")],
)
def test_sanitizers_find_a_broken_kernel(altered: Path, tmp_path: Path, expression: str, finding: str) -> None:
    kernel = altered / "kernels" / "reference" / "stq_table_s8.c"
    kernel.write_text(BROKEN_TABLE.format(expression=expression))
    executor = SanitizedExecutor(plan_network(NETWORK_WITH_TABLE), cache_dir=tmp_path / "cache")
    with pytest.raises(StqError, match=finding):
        executor.run(random_levels(NETWORK_WITH_TABLE, 1))


def test_a_refusing_kernel_is_named(altered: Path, tmp_path: Path) -> None:
    op = next(op for op in NETWORK.ops if isinstance(op, Dense))
    header = altered / "kernels" / "include" / "internal" / "stq_nn_scratch.h"
    text = header.read_text()
    header.write_text(
        text.replace("return 2 * stq_row_elements(inputs", "return 1000000 + 2 * stq_row_elements(inputs")
    )
    assert header.read_text() != text
    executor = HostExecutor(plan_network(NETWORK), kernels="reference", workers=1, cache_dir=tmp_path / "cache")
    with pytest.raises(StqError, match=rf"layer '{op.name}': the kernel refused"):
        executor.run(random_levels(NETWORK, 1))


def test_the_cache_is_private(tmp_path: Path) -> None:
    build_host_library(plan_network(NETWORK), cache_dir=tmp_path / "cache")
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) & 0o077 == 0
