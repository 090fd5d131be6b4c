"""The emulators by name: a board's `board.toml` says which one runs it. A new emulator is a line of `_MODULES`."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from stq_deploy.boards import Board
from stq_deploy.emulator.program import Program
from stq_deploy.emulator.refusals import Refusal
from stq_deploy.emulator.serial_pty import SerialPty
from stq_deploy.errors import StqError

_MODULES = {
    "unicorn": "stq_deploy.emulator.unicorn_backend",
    "qemu": "stq_deploy.emulator.qemu_backend",
}
"""`emulator.kind` of a board -> the module that is its `Backend`."""

Mode = Literal["fast", "counting"]
"""At full speed, or with the cycle counter counting executed instructions."""


@dataclass(frozen=True)
class Launch:
    """What an emulated board is started with.

    Attributes:
        elf, program: the image, as a file and read.
        revision: silicon revision, a letter; None for the usual one.
        refused: to be called with everything the program is refused.
        watchdog_speed: how many times too fast the watchdog's oscillator runs, where one is emulated.
    """

    board: Board
    elf: Path
    program: Program
    mode: Mode
    revision: str | None
    refused: Callable[[Refusal], None]
    watchdog_speed: float = 1.0


class Emulation(Protocol):
    """An emulated board, started."""

    def serve(self, stop: threading.Event, watched: tuple[int, ...]) -> Refusal | None:
        """Run until `stop` is set or a file descriptor of `watched` is at its end (None), or the program cannot go on.

        Raises:
            StqError: the emulator itself has failed.
        """
        ...

    def close(self) -> None:
        """End it for sure."""


class Backend(Protocol):
    """What a module of `_MODULES` offers."""

    def check_installed(self) -> None:
        """Whether boards can be emulated here.

        Raises:
            StqError: what is missing, and how to get it.
        """
        ...

    def start(self, launch: Launch, serial: SerialPty) -> Emulation:
        """Start a board whose serial line is `serial`.

        Raises:
            StqError: it is not this emulator's, or there is no such revision.
        """
        ...


def backend_of(board: Board) -> Backend:
    """The emulator of a board, which is installed.

    Raises:
        StqError: there is none, or it is not installed.
    """
    if board.emulator is None:
        raise StqError(
            f"there is no emulator of board {board.name!r}",
            next="use a connected board with --port; docs/EMULATOR.md says how to emulate more",
        )
    backend = cast(Backend, importlib.import_module(_MODULES[board.emulator.kind]))
    backend.check_installed()
    return backend
