"""Boards, emulated or real, that run a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy.typing as npt

from stq_deploy.api.samples import predicted
from stq_deploy.api.types import Outputs, PathLike
from stq_deploy.common.files import locked, resolved
from stq_deploy.executors import Executor
from stq_deploy.executors.opened_boards import open_board, open_emulated
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from stq_deploy.toolchain.built import BuiltFirmware


class RunningNetwork:
    """A network with something that runs it. It ends with its `with` block, where there is one."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        """Internal: its interface may change."""

    def predict(self, x: npt.ArrayLike, *, levels: bool = False, features: bool | None = None) -> Outputs:
        """Run samples; as `IntegerNetwork.predict`, with the same result.

        Raises
        ------
        StqError
            Unusable samples, or what runs the network fails.
        """
        return predicted(self.executor, x, levels, features)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.executor.name}: {self.executor.program.network!r}>"


class ConnectedBoard(RunningNetwork):
    """A board that runs a firmware, from `emulate` or `connect`. It ends with their `with` block."""


def boot(
    elf: PathLike,
    board: str = "stm32h743",
    *,
    counting: bool = False,
    revision: str | None = None,
    link: PathLike | None = None,
    on_refusal: Callable[[EmulatorRefusal], None] | None = None,
) -> EmulatedBoard:
    """An emulated board for any program, as `stq-deploy emulate`: a context manager with a serial `port`.

    Parameters
    ----------
    elf : path
        The program; it need not be ours.
    board : str
        A name that `stq-deploy boards` lists.
    counting : bool
        Count instructions and check every access of memory; slower.
    revision : str, optional
        Silicon revision, a letter; by default the usual one.
    link : path, optional
        Becomes a symbolic link to the serial port.
    on_refusal : callable, optional
        Called, from another thread, with every action that the hardware would refuse.

    Raises
    ------
    StqError
        On entering: no such board or file, or the emulator does not start.
    """
    return EmulatedBoard(
        Path(elf),
        board,
        "counting" if counting else "fast",
        revision=revision,
        link=None if link is None else Path(link),
        on_refusal=on_refusal,
    )


@contextmanager
def emulate(firmware: BuiltFirmware, *, counting: bool = False) -> Iterator[ConnectedBoard]:
    """Boot a firmware on an emulated board, for the time of a `with` block.

    Parameters
    ----------
    firmware : BuiltFirmware
        From `build`.
    counting : bool
        Count instructions and check every access of memory; slower.

    Raises
    ------
    StqError
        There is no emulator of this board, or the program is stopped.
    """
    board = load_board(firmware.board)
    with (
        locked(resolved(firmware.folder), shared=True),
        open_emulated(board, firmware, counting=counting) as (executor,),
    ):
        yield ConnectedBoard(executor)


@contextmanager
def connect(firmware: BuiltFirmware, *, port: str) -> Iterator[ConnectedBoard]:
    """Talk to a board that was flashed with this very build, for the time of a `with` block.

    Parameters
    ----------
    firmware : BuiltFirmware
        From `build`; `stq-deploy flash` writes it to the board.
    port : str
        Serial port, such as /dev/ttyACM0.

    Raises
    ------
    StqError
        No such port, no answer, or another board, model or build.
    """
    board = load_board(firmware.board)
    with locked(resolved(firmware.folder), shared=True), open_board(board, firmware, port) as executor:
        yield ConnectedBoard(executor)
