"""The kernels as built: each implementation for this computer, with sanitizers if STQ_KERNELS_SANITIZE is set."""

from __future__ import annotations

import pytest

from tests.helpers.kernels.kernel_library import HostLibrary, KernelLibrary, build_host_library
from tests.helpers.kernels.kernel_program import IMPLEMENTATIONS
from tests.helpers.kernels.kernel_settings import SANITIZE
from tests.helpers.shared import session_folder


@pytest.fixture(scope="session")
def host_libraries(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, HostLibrary]:
    folder = session_folder(request, tmp_path_factory)
    return {name: build_host_library(name, folder, sanitize=SANITIZE) for name in IMPLEMENTATIONS}


@pytest.fixture(params=IMPLEMENTATIONS)
def library(request: pytest.FixtureRequest, host_libraries: dict[str, HostLibrary]) -> KernelLibrary:
    return host_libraries[request.param]
