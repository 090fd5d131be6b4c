"""The host's side of an emulated board: starts its process, watches it, and always stops it."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from stq_deploy.common.errors import StqError
from stq_deploy.targets.emulator.refusals import EmulatorRefusal

START_SECONDS = 30.0
REMEMBERED_REFUSALS = 100
_STOP_SECONDS = 2.0


class EmulatedBoard:
    """An emulated board, as a context manager.

    The process ends with the context, with an exception, and with this process. It stops when its standard input is
    closed, a pipe that only this process holds.

    Args:
        elf: the program, the very file that would be flashed.
        board: name of the board; its board.toml names the emulator.
        mode: "fast" runs at full speed; "counting" makes the cycle counter count executed instructions and checks more.
        revision: silicon revision, a letter; None for the usual one.
        link: becomes a symbolic link to the serial port while the board runs.
        watchdog_speed: factor by which the watchdog's oscillator is too fast, for tests of hanging programs.
        on_refusal: called, from another thread, with every refusal.

    Attributes:
        port: the serial port to open; set by `start`.
    """

    def __init__(
        self,
        elf: Path,
        board: str = "stm32h743",
        mode: Literal["fast", "counting"] = "fast",
        *,
        revision: str | None = None,
        link: Path | None = None,
        watchdog_speed: float = 1.0,
        on_refusal: Callable[[EmulatorRefusal], None] | None = None,
    ) -> None:
        self.elf = elf
        self.board = board
        self.mode = mode
        self.port = ""
        self._revision = revision
        self._link = link
        self._watchdog_speed = watchdog_speed
        self._on_refusal = on_refusal
        self._refusals: deque[EmulatorRefusal] = deque(maxlen=REMEMBERED_REFUSALS)
        self._ready: queue.Queue[str | None] = queue.Queue()  # the serial port, or None once there will be none
        self._process: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []
        self._error: StqError | None = None
        self._last_words = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the board and wait until its port can be opened.

        Raises:
            StqError: the emulator is not installed, the program or board is wrong, or the process does not start.
        """
        command = [
            *(sys.executable, "-m", "stq_deploy.targets.emulator", "--until-stdin-closes"),
            *("--board", self.board, "--elf", str(self.elf), "--mode", self.mode),
            *(("--revision", self._revision) if self._revision else ()),
            *(("--watchdog-speed", str(self._watchdog_speed)) if self._watchdog_speed != 1.0 else ()),
            *(("--link", str(self._link)) if self._link else ()),
        ]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._process = process
        try:
            self._read_in_background(process.stdout, self._on_line, self._ready.put)
            self._read_in_background(process.stderr, self._on_stderr_line)
            port = self._ready.get(timeout=START_SECONDS)
        except queue.Empty:
            self.stop()
            raise StqError(f"the emulated board has not started within {START_SECONDS:.0f} s") from None
        except BaseException:
            self.stop()
            raise
        if port is not None:
            self.port = port
            return self
        self.stop()
        raise self._death()

    def stop(self) -> None:
        """End the process. Does nothing if it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        ends: tuple[Callable[[], object], ...] = (process.stdin.close, process.terminate, process.kill)
        for end in ends:
            with contextlib.suppress(OSError):
                end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
                break
        for thread in self._threads:
            thread.join(_STOP_SECONDS)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()

    @property
    def refusals(self) -> tuple[EmulatorRefusal, ...]:
        """The program's refusals so far, in order; the latest `REMEMBERED_REFUSALS` of them."""
        return tuple(self._refusals)

    @property
    def is_alive(self) -> bool:
        """Whether the board runs."""
        return self._process is not None and self._process.poll() is None

    def check(self, patience: float = 0.0) -> None:
        """Call this when the link is silent.

        Args:
            patience: seconds to wait for the board's end, which may be imminent when its port has failed.

        Raises:
            StqError: the board has stopped; the error states the reason.
        """
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        if not self.is_alive:
            for thread in self._threads:
                thread.join(_STOP_SECONDS)
            raise self._death()

    def _death(self) -> StqError:
        if self._error is not None:
            return self._error
        if self._refusals:
            last = self._refusals[-1]
            return StqError(
                f"the emulated board has stopped: {last.what}",
                where=f"0x{last.pc:08X}" + (f" ({last.function})" if last.function else ""),
                cause=last.why,
                next="correct the firmware; docs/EMULATOR.md lists what is modelled and refused",
            )
        return StqError("the emulated board has stopped unexpectedly", cause=self._last_words.strip()[-2000:])

    def _read_in_background(
        self,
        pipe: IO[str] | None,
        on_line: Callable[[str], None],
        at_end: Callable[[None], None] | None = None,
    ) -> None:
        def read() -> None:
            for line in pipe or ():
                on_line(line)
            if at_end is not None:
                at_end(None)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _on_line(self, line: str) -> None:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:  # the emulator's library, before it aborts
            self._on_stderr_line(line)
            return
        kind = event.pop("event")
        if kind == "ready":
            self._ready.put(event["port"])
        elif kind == "refused":
            refusal = EmulatorRefusal(**event)
            self._refusals.append(refusal)
            if self._on_refusal is not None:
                self._on_refusal(refusal)
        elif kind == "error":
            self._error = StqError(event["what"], where=event["where"], cause=event["cause"], next=event["next"])

    def _on_stderr_line(self, line: str) -> None:
        self._last_words += line
