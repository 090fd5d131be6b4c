"""Executors by their names in `verify` and `evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from stq_deploy.common.errors import StqError, no_such
from stq_deploy.executors import Executor
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.program import Program
from stq_deploy.targets.boards import board_names, load_board
from stq_deploy.targets.emulator.backends import backend_of
from stq_deploy.toolchain.host_compiler import find_host_compiler

SECOND_EMULATOR = "mps2-an500"
"""A board whose emulator, QEMU, is not a Python package."""
_SANITIZED = "-sanitized"

_LOCAL: dict[str, Callable[[Program, str], Executor]] = {
    "numpy": lambda program, name: NumpyExecutor(program, name=name),
    "host": lambda program, name: HostExecutor(program, kernels="reference", name=name),
    "host-cortex-m7": lambda program, name: HostExecutor(program, kernels="cortex_m7", name=name),
    "host-sanitized": lambda program, name: SanitizedExecutor(program, kernels="reference", name=name),
    "host-cortex-m7-sanitized": lambda program, name: SanitizedExecutor(program, kernels="cortex_m7", name=name),
}
"""Makers of the executors of this computer, which take the executor's name."""


def executor_names() -> list[str]:
    """All names: those of this computer, and every board's name for that board emulated."""
    return [*_LOCAL, *board_names()]


def why_not_here(name: str) -> str:
    """Why an executor that needs more than our Python packages is not available; empty if it is.

    QEMU may be absent, and the only compiler (zig) may have no sanitizers.
    """
    try:
        if name.endswith(_SANITIZED):
            find_host_compiler(sanitize=True)
        elif name == SECOND_EMULATOR:
            backend_of(load_board(name))
    except StqError as error:
        return error.what
    return ""


@contextmanager
def open_executor(name: str, program: Program) -> Iterator[Executor]:
    """An executor, ready. A board's name builds its firmware and runs it on an emulated board.

    Raises:
        StqError: an unknown name, or the executor cannot be had here (no compiler, no emulator).
    """
    if name in _LOCAL:
        with _LOCAL[name](program, name) as executor:
            yield executor
    elif name in board_names():
        board = load_board(name)
        backend_of(board)  # looking for an emulator is faster than building
        with TemporaryDirectory(prefix="stq-build-") as folder:
            firmware = build_afresh(program, board, folder)
            with open_emulated(board, firmware, name=name) as (emulated,):
                yield emulated
    else:
        raise no_such(f"there is no executor {name!r}", name, executor_names())
