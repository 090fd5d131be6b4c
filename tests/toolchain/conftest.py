"""One small network, built once per compiler that is present."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.network import Network, TensorType
from stq_deploy.program import plan_network
from stq_deploy.targets.boards import Board, load_board
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compile import Builder
from stq_deploy.toolchain.compilers import Compiler, candidates
from stq_deploy.toolchain.project import Project
from tests.helpers.networks import random_network
from tests.helpers.toolchain import COMPILERS, Build, compiler_of, dense


@pytest.fixture(scope="session")
def board() -> Board:
    return load_board("stm32h743")


@pytest.fixture(scope="session")
def network() -> Network:
    return random_network(3)


@pytest.fixture(scope="session")
def tiny() -> Network:
    """One dense layer: the quickest to build."""
    tensors = {
        "image": TensorType((4,), "int8", -128, 127, 1.0),
        "logits": TensorType((2,), "int32", -512, 508, 1.0),
    }
    return Network(tensors, (dense("logits", "image", "logits", np.ones((4, 2), np.int8)),), "image", ("logits",))


@pytest.fixture(scope="session")
def build(board: Board, network: Network, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The build with a compiler of `COMPILERS`, made at the first call; for speed, so with copies in fast memory."""
    known: dict[str, BuiltFirmware] = {}

    def get(name: str) -> BuiltFirmware:
        if name not in known:
            out = tmp_path_factory.mktemp("build") / "firmware"
            known[name] = build_firmware(plan_network(network, optimize="speed"), board, out, compiler=COMPILERS[name])
        return known[name]

    return get


@pytest.fixture(params=[candidate.name for candidate in candidates()])
def built(request: pytest.FixtureRequest, build: Build) -> BuiltFirmware:
    """The build with each compiler that is searched for."""
    if request.param not in COMPILERS:
        pytest.skip(f"{request.param} is not installed")
    return build(request.param)


@pytest.fixture(params=[candidate.name for candidate in candidates()])
def compiler(request: pytest.FixtureRequest) -> Compiler:
    """Each compiler that is searched for."""
    if request.param not in COMPILERS:
        pytest.skip(f"{request.param} is not installed")
    return COMPILERS[request.param]


@pytest.fixture(scope="session")
def remade() -> dict[Path, list[Path]]:
    """Folder of a build -> its objects, of those made again."""
    return {}


@pytest.fixture
def objects(
    built: BuiltFirmware, board: Board, remade: dict[Path, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """The objects of `built`, made again from its project: a build leaves none."""
    if built.folder not in remade:
        folder = tmp_path_factory.mktemp("objects") / "project"
        shutil.copytree(built.folder, folder)
        sources = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.c")))
        includes = ("kernels/include", "network", "served", "link", "runtime", board.cpu.architecture, "board")
        builder = Builder(Project(folder, sources, includes), board, compiler_of(built), folder.with_name("log"))
        remade[built.folder] = [folder / name for name in builder.compile(sources)]
    return remade[built.folder]


@pytest.fixture
def gcc() -> Compiler:
    """A GCC, or the test is skipped."""
    found = [compiler for compiler in COMPILERS.values() if compiler.family == "gcc"]
    if not found:
        pytest.skip("no arm-none-eabi-gcc is installed")
    return found[0]
