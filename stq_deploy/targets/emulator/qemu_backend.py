"""Boards emulated by QEMU in a child process; their serial port is relayed to the pty."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from stq_deploy.common.errors import StqError
from stq_deploy.targets.boards.model import QemuEmulator
from stq_deploy.targets.emulator.backends import Launch
from stq_deploy.targets.emulator.program import LoadedElf
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from stq_deploy.targets.emulator.serial_pty import SerialPty

PROGRAM = "qemu-system-arm"
ADVICE = "Debian, Ubuntu: sudo apt-get install qemu-system-arm; macOS: brew install qemu"
ICOUNT_SHIFT = 7
"""Every instruction takes 2^this nanoseconds; the boards' counter.c converts a timer's time into instructions. This
costs no speed, so both modes use it."""

_TICK_SECONDS = 0.5
_RETRY_SECONDS = 0.002
_STOP_SECONDS = 2.0
_CHUNK_BYTES = 4096
_SHOWN_CHARACTERS = 2000
_PR_SET_PDEATHSIG = 1


def find_qemu() -> str:
    """Path of the program.

    Raises:
        StqError: it is not installed.
    """
    path = shutil.which(PROGRAM)
    if path is None:
        raise StqError(f"{PROGRAM} is not installed", next=ADVICE)
    return path


def check_installed() -> None:
    """See `Backend`."""
    find_qemu()


def start(launch: Launch, serial: SerialPty) -> QemuEmulation:
    """See `Backend`."""
    if launch.revision is not None:
        raise StqError(f"there is no silicon revision {launch.revision!r} of {launch.board.name}: it has none")
    return QemuEmulation(launch, serial)


class QemuEmulation:
    """QEMU's process, at the other end of a socket."""

    def __init__(self, launch: Launch, serial: SerialPty) -> None:
        emulator = launch.board.emulator
        assert isinstance(emulator, QemuEmulator)  # as `_MODULES` states
        self._board = launch.board.name
        self._program = launch.program
        self._serial = serial
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        # A file, not a pipe: nothing must read it meanwhile, and its last words are complete.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        command = [
            *(find_qemu(), "-machine", emulator.machine, "-icount", f"shift={ICOUNT_SHIFT}"),
            *("-no-user-config", "-nodefaults", "-display", "none"),
            *("-chardev", f"socket,id=serial,fd={theirs.fileno()}", "-serial", "chardev:serial"),
            *("-kernel", str(launch.elf.absolute())),
        ]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # this process handles a terminal's Ctrl-C
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has a single thread
            )

    def serve(self, stop: threading.Event, watched: tuple[int, ...]) -> EmulatorRefusal | None:
        """See `Emulation`."""
        inbox = self._serial.wire.inbox
        while not stop.is_set():
            # Bytes that QEMU has not accepted yet are offered again soon.
            timeout = _RETRY_SECONDS if inbox else _TICK_SECONDS
            _, others = self._serial.exchange(timeout, (self._socket.fileno(), *watched))
            if self._socket.fileno() in others and not self._receive():
                return self._explain_end()
            self._send()
            if any(fd in watched and not os.read(fd, 1) for fd in others):
                stop.set()
        return None

    def close(self) -> None:
        """See `Emulation`."""
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def _receive(self) -> bool:
        """Pass on the board's bytes; False if QEMU has ended."""
        try:
            data = self._socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        for byte in data:
            self._serial.wire.send(byte)
        return bool(data)

    def _send(self) -> None:
        inbox = self._serial.wire.inbox
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(self._socket.send(bytes(inbox)) if inbox else 0):
                inbox.popleft()

    def _explain_end(self) -> EmulatorRefusal:
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        refusal = explain_lockup(said, self._program)
        if refusal is None:
            raise StqError(
                f"QEMU, which emulates {self._board}, has ended with code {code}",
                cause=said[-_SHOWN_CHARACTERS:] or "it said nothing",
                next=f"another version of {PROGRAM} may do better; 7.2 is known to work",
            )
        return refusal


def explain_lockup(said: str, program: LoadedElf) -> EmulatorRefusal | None:
    """The refusal in QEMU's output when the core locks up (a sentence and all registers); None for other output."""
    sentence = re.search(r"^qemu: fatal: (Lockup: .*)$", said, re.MULTILINE)
    registers = dict(re.findall(r"\b(R\d\d)=([0-9a-f]{8})\b", said))
    if sentence is None or not {"R14", "R15"} <= registers.keys():
        return None
    pc, lr = int(registers["R15"], 16), int(registers["R14"], 16)
    return EmulatorRefusal(
        "the core locks up",
        f"a fault in the fault handler ({sentence[1]})",
        pc,
        program.function_at(pc),
        program.function_at((lr & ~1) - 2),
    )


def _die_with_parent() -> None:
    """Runs in QEMU's process before it becomes QEMU, so that QEMU ends if we are killed. Only Linux has this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
