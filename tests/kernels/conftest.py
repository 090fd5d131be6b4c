"""The kernels as built: each implementation for this computer, with sanitizers if STQ_KERNELS_SANITIZE is set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from stq_deploy.toolchain.compilers import Compiler
from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary, build_host_library
from tests.helpers.kernels.kernel_program import IMPLEMENTATIONS, build_kernel_program
from tests.helpers.kernels.kernel_settings import SANITIZE
from tests.helpers.shared import made_once, session_folder


@pytest.fixture(scope="session")
def host_libraries(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, HostLibrary]:
    folder = session_folder(request, tmp_path_factory)
    return {name: build_host_library(name, folder, sanitize=SANITIZE) for name in IMPLEMENTATIONS}


@pytest.fixture(params=IMPLEMENTATIONS)
def library(request: pytest.FixtureRequest, host_libraries: dict[str, HostLibrary]) -> KernelLibrary:
    return host_libraries[request.param]


@pytest.fixture(scope="session")
def kernel_program(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Compiler], Path]:
    """Gives the ELF of all kernels for the Cortex-M7 as a compiler makes them: once a test run."""

    def made(compiler: Compiler) -> Path:
        def build(elf: Path) -> None:
            folder = elf.with_suffix(".objects")
            folder.mkdir(exist_ok=True)
            build_kernel_program(compiler, "cortex_m7", folder).rename(elf)

        name = hashlib.sha256(repr((compiler.command, compiler.version)).encode()).hexdigest()[:16]
        return made_once(session_folder(request, tmp_path_factory) / f"kernels-{name}.elf", build)

    return made
