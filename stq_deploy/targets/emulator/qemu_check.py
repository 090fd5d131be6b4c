"""`stq-deploy doctor`'s checks of emulators that are not Python packages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards import board_names, load_board
from stq_deploy.targets.emulator.qemu_backend import find_qemu
from stq_deploy.toolchain.installation_checks import Check

_ANSWER_SECONDS = 10.0


def emulator_checks() -> Iterator[Check]:
    """QEMU, and the boards it emulates."""
    boards = [board for board in map(load_board, board_names()) if board.emulator and board.emulator.kind == "qemu"]
    used_for = f"optional: a second emulator, for {', '.join(board.name for board in boards)}"
    try:
        path = find_qemu()
        version = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True
        ).stdout
    except StqError as error:
        yield Check("QEMU", False, error.what, used_for, error.next)
    except (OSError, subprocess.SubprocessError) as error:
        yield Check("QEMU", False, f"does not run: {error}", used_for, "install it again")
    else:
        yield Check("QEMU", True, f"{version.partition(chr(10))[0]}, {path}", used_for, "")
