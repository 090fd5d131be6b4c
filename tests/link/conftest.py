from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.session import Session
from tests.helpers.link.c_boards import compile_board, load_private
from tests.helpers.link.simulated_board import SimulatedBoard


@pytest.fixture(scope="session")
def board_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board in memory, with 1024 input levels: they fit inline."""
    return compile_board(tmp_path_factory.mktemp("board"), "memory_board", ["-shared", "-fPIC"])


@pytest.fixture(scope="session")
def large_board_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board in memory, with 3001 input levels: they need three chunks."""
    flags = ["-shared", "-fPIC", "-DSTQ_NETWORK_INPUT_BYTES=3001"]
    return compile_board(tmp_path_factory.mktemp("board"), "memory_board", flags)


@pytest.fixture(scope="session")
def wide_board_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board in memory, with 1501 input levels of 16 bits: they need three chunks."""
    flags = ["-shared", "-fPIC", "-DSTQ_NETWORK_INPUT_BYTES=3002", "-DSTUB_WIDE_LEVELS"]
    return compile_board(tmp_path_factory.mktemp("board"), "memory_board", flags)


@pytest.fixture(scope="session")
def board_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board as a process under AddressSanitizer and UndefinedBehaviorSanitizer."""
    folder = tmp_path_factory.mktemp("board")
    try:
        return compile_board(folder, "terminal_board", sanitize=True)
    except StqError as error:
        pytest.skip(str(error))


@pytest.fixture
def c_link(board_library: Path) -> ctypes.CDLL:
    """The C functions of the link, with static memory of their own."""
    return load_private(board_library)


@pytest.fixture
def board(board_library: Path) -> SimulatedBoard:
    return SimulatedBoard(board_library)


@pytest.fixture
def open_session() -> Iterator[Callable[..., Session]]:
    """Opens sessions with fixed nonces, so that every run is the same."""

    def open_(transport: SimulatedBoard, **options: object) -> Session:
        nonces = iter(range(0xFFFE_0001, 0xFFFF_FFFF))  # sequence numbers wrap after two requests
        session = Session(transport, nonces=lambda: next(nonces), **options)  # type: ignore[arg-type]
        session.open()
        return session

    return open_
