"""The emulated board's own process: `python -m stq_deploy.targets.emulator --board stm32h743 --elf firmware.elf`.

Prints one JSON object per line. The first is {"event": "ready", "port": ...}. {"event": "refused", ...} follows
whenever the program does something that the hardware would not allow, and {"event": "error", ...} for a user's mistake.
Exit codes: 0 stopped on request, 1 a user's mistake, 3 the program cannot continue.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.backends import Launch, backend_of
from stq_deploy.targets.emulator.program import load_program
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from stq_deploy.targets.emulator.serial_pty import SerialPty

EXIT_REFUSED = 3


def _print(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def _print_refusal(refusal: EmulatorRefusal) -> None:
    _print("refused", **refusal.to_json())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stq_deploy.targets.emulator", description="Run a firmware without a board."
    )
    parser.add_argument("--board", required=True)
    parser.add_argument("--elf", required=True, type=Path)
    parser.add_argument("--mode", choices=("fast", "counting"), default="fast")
    parser.add_argument("--revision", help="silicon revision, a letter")
    parser.add_argument(
        "--watchdog-speed", type=float, default=1.0, help="let its oscillator run so many times as fast"
    )
    parser.add_argument("--link", type=Path, help="make this a symbolic link to the serial port")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when standard input is at its end")
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> int:
    board = load_board(arguments.board)
    backend = backend_of(board)
    program = load_program(arguments.elf, board.memory)
    serial = SerialPty(board.serial.baud)
    launch = Launch(
        board, arguments.elf, program, mode=arguments.mode, revision=arguments.revision, refused=_print_refusal,
        watchdog_speed=arguments.watchdog_speed,
    )  # fmt: skip
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()
        serial.wake()

    signal.signal(signal.SIGTERM, on_signal)
    # Under a parent, the parent handles Ctrl-C: it may still need the board.
    signal.signal(signal.SIGINT, signal.SIG_IGN if arguments.until_stdin_closes else on_signal)
    watched = (sys.stdin.fileno(),) if arguments.until_stdin_closes else ()
    with contextlib.closing(backend.start(launch, serial)) as emulation, _link(arguments.link, serial.path):
        _print("ready", port=serial.path, board=board.name, mode=launch.mode, pid=os.getpid())
        end = emulation.serve(stop, watched)
    if end is not None:
        _print_refusal(end)
        return EXIT_REFUSED
    return 0


@contextlib.contextmanager
def _link(link: Path | None, target: str) -> Any:
    if link is None:
        yield
        return
    try:
        if _leads_to_a_port(link):
            link.unlink()  # left over by an emulator that was killed
        link.symlink_to(target)
    except OSError as error:
        next = "choose a name that is free, in a folder you may write to"
        raise StqError(f"cannot make the link: {error.strerror}", where=str(link), next=next) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if link.is_symlink() and link.readlink() == Path(target):  # otherwise it belongs to another emulator by now
                link.unlink()


def _leads_to_a_port(link: Path) -> bool:
    """Whether it is a link like ours; other links are the user's."""
    return link.is_symlink() and str(link.readlink()).startswith(("/dev/pts/", "/dev/tty"))


def main() -> int:
    """Run one emulated board until it is asked to stop."""
    try:
        return _run(_arguments())
    except StqError as error:
        _print("error", what=error.what, where=error.where, cause=error.cause, next=error.next)
        return 1


if __name__ == "__main__":
    sys.exit(main())
