from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stq_deploy.common.errors import StqError

if TYPE_CHECKING:
    from stq_deploy.toolchain.compilers import Compiler

if importlib.util.find_spec("unicorn") is None:  # pip install -e '.[emulator]'
    collect_ignore_glob = ["test_emulated_*"]


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    from stq_deploy.toolchain.compilers import find_compiler

    try:
        return find_compiler()
    except StqError as error:
        pytest.skip(f"no cross compiler, so no program to run: {error.what}")


@pytest.fixture(scope="session")
def build(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles a file of firmware/, or C code around probe.h, with macros; the same is compiled once."""
    from tests.helpers.emulator.bench import compile_program

    folder = tmp_path_factory.mktemp("programs")
    built: dict[str, Path] = {}

    def build(source: str, *defines: str) -> Path:
        key = hashlib.sha256("\0".join((source, *defines)).encode()).hexdigest()[:16]
        if key not in built:
            built[key] = compile_program(compiler, source, folder / key, *defines)
        return built[key]

    return build
