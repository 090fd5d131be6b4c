"""Boards for a run: one at a serial port, or several emulated ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from stq_deploy.common.errors import StqError
from stq_deploy.executors.link_executor import LinkExecutor
from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator.process import EmulatedBoard
from stq_deploy.targets.link.identity import ExpectedBoard
from stq_deploy.targets.link.serial_port import open_serial
from stq_deploy.targets.link.session import Session
from stq_deploy.targets.link.symbols import locate_in_elf
from stq_deploy.toolchain.built import BuiltFirmware

_LAST_WORDS_SECONDS = 0.5


@contextmanager
def open_board(board: Board, firmware: BuiltFirmware, port: str | None) -> Iterator[LinkExecutor]:
    """The board at a serial port, which must run this very build; an emulated one for no port.

    Raises:
        StqError: no such port, no answer, or another board, model or build.
    """
    if port is None:
        with open_emulated(board, firmware) as (executor,):
            yield executor
    else:
        with _open(board, firmware, port, "serial") as executor:
            yield executor


@contextmanager
def open_emulated(
    board: Board, firmware: BuiltFirmware, *, count: int = 1, counting: bool = False, name: str = "emulated"
) -> Iterator[list[LinkExecutor]]:
    """`count` emulated boards running the built ELF; they end when the context does.

    Args:
        count: how many.
        counting: count instructions, exactly and slowly; cycle counts are instructions then.
        name: of each executor, for tables.

    Raises:
        StqError: no emulator runs this board, or it does not start.
    """
    with ExitStack() as stack:
        emulated = [
            stack.enter_context(EmulatedBoard(firmware.elf, board.name, "counting" if counting else "fast"))
            for _ in range(count)
        ]
        try:
            yield [stack.enter_context(_open(board, firmware, one.port, name)) for one in emulated]
        except StqError:
            for one in emulated:
                one.check(_LAST_WORDS_SECONDS)  # a stopped board knows the reason; the link notices only silence
            raise


@contextmanager
def _open(board: Board, firmware: BuiltFirmware, port: str, name: str) -> Iterator[LinkExecutor]:
    program = firmware.program
    expected = ExpectedBoard(
        board=board.name,
        model_hash=firmware.model_hash,
        build_id=firmware.build_id,
        model_name=program.network.name,
    )
    with closing(open_serial(port, board.serial.baud)) as transport:
        session = Session(
            transport,
            expected=expected,
            locate=locate_in_elf(firmware.elf),
            layer_names=[layer.name for layer in program.layers],
        )
        session.open()
        yield LinkExecutor(program, session, name=name)
