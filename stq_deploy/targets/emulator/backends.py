"""The emulators by name; a board's `board.toml` names one. A new emulator is a line of `_MODULES`."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator.program import LoadedElf
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from stq_deploy.targets.emulator.serial_pty import SerialPty

_MODULES = {
    "unicorn": "stq_deploy.targets.emulator.unicorn_backend",
    "qemu": "stq_deploy.targets.emulator.qemu_backend",
}
"""`emulator.kind` of a board -> the module that is its `Backend`."""

Mode = Literal["fast", "counting"]
"""At full speed, or with the cycle counter counting executed instructions."""


@dataclass(frozen=True)
class Launch:
    """The arguments with which an emulated board starts.

    Attributes:
        elf, program: the image, as a file and as its content.
        revision: silicon revision, a letter; None for the usual one.
        refused: called with every refusal.
        watchdog_speed: how many times too fast the watchdog's oscillator runs, where one is emulated.
    """

    board: Board
    elf: Path
    program: LoadedElf
    mode: Mode
    revision: str | None
    refused: Callable[[EmulatorRefusal], None]
    watchdog_speed: float = 1.0


class Emulation(Protocol):
    """A running emulated board."""

    def serve(self, stop: threading.Event, watched: tuple[int, ...]) -> EmulatorRefusal | None:
        """Run until `stop` is set or a file descriptor of `watched` is at its end (None), or the program cannot
        continue.

        Raises:
            StqError: the emulator itself has failed.
        """
        ...

    def close(self) -> None:
        """End it in any case."""


class Backend(Protocol):
    """The interface of a module in `_MODULES`."""

    def check_installed(self) -> None:
        """Whether boards can be emulated here.

        Raises:
            StqError: something is missing; the error states how to get it.
        """
        ...

    def start(self, launch: Launch, serial: SerialPty) -> Emulation:
        """Start a board whose serial line is `serial`.

        Raises:
            StqError: this emulator does not emulate the board, or the revision does not exist.
        """
        ...


def backend_of(board: Board) -> Backend:
    """The installed emulator of a board.

    Raises:
        StqError: no emulator of the board exists, or it is not installed.
    """
    if board.emulator is None:
        raise StqError(
            f"there is no emulator of board {board.name!r}",
            next="use a connected board with --port; docs/EMULATOR.md says how to emulate more",
        )
    backend = cast(Backend, importlib.import_module(_MODULES[board.emulator.kind]))
    backend.check_installed()
    return backend
