"""The sources that a generated project consists of: licence, C++ callers, link-time optimization."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.resources import boards_folder, firmware_templates
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import load_board
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import candidates, probe
from tests.helpers.boards.crashes import running
from tests.helpers.networks import random_levels, random_network
from tests.helpers.toolchain import compiler_of

NETWORK = random_network(3)
BOARD = load_board("stm32h743")
SOURCES = sorted(
    path
    for folder in (firmware_templates(), boards_folder())
    for path in folder.rglob("*")
    if path.name.endswith((".c", ".h", ".c.j2", ".h.j2"))
)
GENERATED = "LicenseRef-stq-deploy-output"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltFirmware:
    compilers = [found for candidate in candidates() if (found := probe(candidate)) and found.family == "gcc"]
    if not compilers:
        pytest.skip("no arm-none-eabi-gcc is installed")
    return build_firmware(
        plan_network(NETWORK), BOARD, tmp_path_factory.mktemp("project") / "build", compiler=compilers[0]
    )


def test_every_source_names_its_licence() -> None:
    assert len(SOURCES) > 50
    for path in SOURCES:
        licence = GENERATED if path.name.endswith(".j2") else "Apache-2.0"
        assert path.read_text().startswith(f"/* SPDX-License-Identifier: {licence} */\n"), path


def test_a_project_states_its_licences(built: BuiltFirmware) -> None:
    text = (built.folder / "LICENSE").read_text()
    named = {
        re.match(r"/\* SPDX-License-Identifier: (\S+) \*/", path.read_text())[1]  # type: ignore[index]
        for path in built.folder.rglob("*.[ch]")
    }
    assert named == {GENERATED, "Apache-2.0"}
    assert all(name in text for name in named)
    assert "it is yours" in text and "Apache License" in text


def test_internal_headers_are_apart(built: BuiltFirmware) -> None:
    include = built.folder / "kernels" / "include"
    assert [path.name for path in include.glob("*.h")] == ["stq_nn.h"]
    assert all("internal" in path.read_text() for path in (include / "internal").glob("*.h"))


def test_the_project_links_with_link_time_optimization(built: BuiltFirmware, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(built.folder, project)
    for image in project.glob("firmware.*"):
        image.unlink()
    command = ["make", "-s", "firmware.elf", f"CC={compiler_of(built).command[0]} -flto"]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=300)
    assert (project / "firmware.elf").read_bytes() != built.elf.read_bytes()
    levels = random_levels(NETWORK, 2).astype(np.int8)
    with running(project / "firmware.elf", BOARD) as session:
        logits = [result.logits for result in session.infer(levels)]
    np.testing.assert_array_equal(logits, NumpyExecutor(plan_network(NETWORK)).run(levels)[0].reshape(len(levels), -1))
