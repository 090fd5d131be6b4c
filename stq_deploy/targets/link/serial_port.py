"""A serial port, real or a pty, through pyserial."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.targets.link.timeouts import TIMEOUTS, Timeouts

_POLL_SECONDS = 0.05
"""pyserial's own read time-out. Fixed, because changing it sets up the whole port again."""


class SerialPort:
    """A `Transport` over an open pyserial port; made by `open_serial`."""

    def __init__(self, serial: Any, name: str) -> None:
        self._serial = serial
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def read(self, timeout: float) -> bytes:
        deadline = self.now() + timeout
        try:
            while True:
                # All available bytes in one call; without any, wait for the first.
                data = bytes(self._serial.read(max(1, self._serial.in_waiting)))
                if data or self.now() >= deadline:
                    return data
        except (OSError, TypeError) as error:  # pyserial: TypeError from a port closed meanwhile
            raise self._gone(error) from error

    def write(self, data: bytes) -> None:
        from serial import SerialTimeoutException

        try:
            self._serial.write(data)
        except SerialTimeoutException as error:
            raise StqError(
                f"the port did not take {len(data)} bytes in {self._serial.write_timeout:g} s",
                where=self._name,
                cause="the other end has stopped reading, or flow control holds the line",
                next="reset the board, or start the emulated board again, and repeat the command",
            ) from error
        except (OSError, TypeError) as error:
            raise self._gone(error) from error

    def now(self) -> float:
        return time.monotonic()

    def close(self) -> None:
        with suppress(OSError):
            self._serial.close()

    def _gone(self, error: BaseException) -> StqError:
        return StqError(
            f"the port failed: {error}",
            where=self._name,
            cause="the board was unplugged, or the emulated board has ended",
            next="check the cable, or the emulator's output, and repeat the command; a run resumes where it stopped",
        )


def open_serial(port: str, baud: int, *, timeouts: Timeouts = TIMEOUTS) -> SerialPort:
    """Open a serial port exclusively.

    Args:
        port: a path (`/dev/ttyACM0`, `COM5`, a pty), or a URL of pyserial's (`socket://`, `rfc2217://`).
        baud: bits per second; a pty ignores it.

    Raises:
        StqError: absent, busy, not permitted, or not a serial port.
    """
    import serial

    # Two programs on one port would take each other's bytes.
    exclusive = {"exclusive": True} if "://" not in port and os.name == "posix" else {}
    try:
        opened = serial.serial_for_url(
            port, baudrate=baud, timeout=_POLL_SECONDS, write_timeout=timeouts.write, **exclusive
        )
        return SerialPort(opened, port)
    except (OSError, ValueError) as error:
        raise _cannot_open(port, baud, error) from error


def _cannot_open(port: str, baud: int, error: OSError | ValueError) -> StqError:
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.ENOENT, errno.ENXIO, errno.ENODEV}:
        return StqError(
            "no such serial port",
            where=port,
            cause="the board is not plugged in, or its port has another name",
            next="`stq-deploy boards --connected` lists boards and their ports",
        )
    if number in {errno.EBUSY, errno.EAGAIN}:
        return StqError(
            "the serial port is in use by another program",
            where=port,
            cause="a terminal program, an IDE's serial monitor, or another stq-deploy run has it open",
            next="close that program and repeat the command",
        )
    if number in {errno.EACCES, errno.EPERM}:
        return StqError(
            "no permission to open the serial port",
            where=port,
            cause="your user is not in the group that owns the port, often `dialout`",
            next="`sudo usermod -aG dialout $USER`, log in again, and repeat the command",
        )
    return StqError(
        f"cannot open the serial port at {baud} baud: {error}",
        where=port,
        cause="this is not a serial port, or it cannot run at that speed",
        next="`stq-deploy boards --connected` lists boards and their ports",
    )
