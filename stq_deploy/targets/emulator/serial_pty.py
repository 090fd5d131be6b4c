"""The board's serial port as a pseudo-terminal, so that the host opens it like any other port."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
import tty
from collections import deque

from stq_deploy.targets.emulator.peripherals.usart import Wire

_CHUNK_BYTES = 4096
_COLLECT_SECONDS = 0.0005  # the core must not wait for us after every byte it sends
_MAXIMUM_UNSENT_BYTES = 1 << 20
_BAUD_OF_CODE = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()
}


class SerialPty:
    """Moves bytes between a pty and a `Wire`. `send` may be called from any thread, the rest from one.

    Attributes:
        path: the device that the host opens.
        wire: the board's end.
    """

    def __init__(self, baud: int) -> None:
        """Args:
        baud: the rate the port is set to until the host sets another.
        """
        self._master, self._slave = os.openpty()  # keeping the slave open avoids hang-ups
        tty.setraw(self._slave)
        self._set_baud(baud)
        os.set_blocking(self._master, False)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._unsent: deque[int] = deque()
        self.path = os.ttyname(self._slave)
        self.wire = Wire(inbox=deque(), baud=baud, send=self._send)

    def exchange(self, timeout: float, others: tuple[int, ...] = ()) -> tuple[bool, list[int]]:
        """Wait at most `timeout` seconds for bytes or a wake-up, and handle them.

        Args:
            others: file descriptors that end the wait as well.

        Returns:
            whether bytes from the host have arrived, and which of `others` can be read.
        """
        writers = [self._master] if self._unsent else []
        readable, _, _ = select.select([self._master, self._wake_read, *others], writers, [], timeout)
        if self._wake_read in readable:
            os.read(self._wake_read, _CHUNK_BYTES)
        if self._unsent:
            time.sleep(_COLLECT_SECONDS)
            self._flush()
        arrived = False
        if self._master in readable:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._master, _CHUNK_BYTES)
                self.wire.baud = self._host_baud()
                self.wire.inbox.extend(data)
                arrived = bool(data)
        return arrived, [fd for fd in others if fd in readable]

    def wake(self) -> None:
        """End a wait in `exchange`; may be called from any thread and from signal handlers."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def close(self) -> None:
        """Close the pty; the host's port hangs up."""
        for fd in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(fd)

    def _send(self, byte: int) -> None:
        first = not self._unsent
        if len(self._unsent) < _MAXIMUM_UNSENT_BYTES:  # no listener: lost, as on a cable
            self._unsent.append(byte)
        if first:
            self.wake()

    def _flush(self) -> None:
        while self._unsent:
            chunk = bytes(self._unsent[n] for n in range(min(len(self._unsent), _CHUNK_BYTES)))
            try:
                written = os.write(self._master, chunk)
            except BlockingIOError:
                return
            for _ in range(written):
                self._unsent.popleft()

    def _host_baud(self) -> int | None:
        """The rate that the host has set; None for a rate without a name in termios."""
        return _BAUD_OF_CODE.get(termios.tcgetattr(self._slave)[5])

    def _set_baud(self, baud: int) -> None:
        code = next((code for code, rate in _BAUD_OF_CODE.items() if rate == baud), None)
        if code is not None:
            settings = termios.tcgetattr(self._slave)
            settings[4] = settings[5] = code
            termios.tcsetattr(self._slave, termios.TCSANOW, settings)
