"""A test bench: tiny programs, compiled, on a `Machine` in this process."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.targets.boards import load_board
from stq_deploy.targets.emulator.machine import Machine, Mode
from stq_deploy.targets.emulator.peripherals.usart import Wire
from stq_deploy.targets.emulator.program import load_program
from stq_deploy.targets.emulator.refusals import EmulatorRefusal
from stq_deploy.toolchain.compilers import Compiler

FIRMWARE = Path(__file__).resolve().parents[2] / "emulator" / "firmware"
BAUD = 921_600
PATIENCE_SECONDS = 20.0
FAULT_MARK = 0x544C4146


def compile_program(compiler: Compiler, source: str, folder: Path, *defines: str) -> Path:
    """Build a file of firmware/, or C code around probe.h; returns the ELF.

    Args:
        defines: macros, as for -D.
    """
    folder.mkdir(parents=True, exist_ok=True)
    main = FIRMWARE / source
    if not source.endswith(".c"):
        main = folder / "main.c"
        main.write_text(f'#include "probe.h"\n{source}\n')
    elf = folder / "probe.elf"
    flags = load_board("stm32h743").cpu.flags[compiler.family]
    command = [
        *(
            *compiler.command,
            *("cc",) * (compiler.family == "zig"),
            *flags,
            "-std=gnu11",
            "-O1",
            "-g",
            "-ffreestanding",
            "-fno-builtin",
        ),
        *("-fno-sanitize=undefined",) * (compiler.family == "zig"),
        *(f"-I{FIRMWARE}", *(f"-D{define}" for define in defines), str(main), "-nostdlib"),
        *("-nostartfiles",) * (compiler.family == "gcc"),
        *("-T", str(FIRMWARE / "probe.ld"), "-o", str(elf), *compiler.libraries),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | compiler.environment
    )
    assert done.returncode == 0, done.stderr
    return elf


def disassembler() -> str | None:
    """Binutils' objdump for Arm, an independent reader of the instruction set."""
    return shutil.which("arm-none-eabi-objdump")


@dataclass(frozen=True)
class FaultReport:
    """What probe.h's fault handler sends."""

    exception: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    pc: int
    exc_return: int


class Bench:
    """One machine, running until the context ends."""

    def __init__(
        self,
        elf: Path,
        mode: Mode = "fast",
        *,
        revision: str = "V",
        baud: int | None = BAUD,
        watchdog_speed: float = 1.0,
    ) -> None:
        board = load_board("stm32h743")
        self.refusals: list[EmulatorRefusal] = []
        self.sent: deque[int] = deque()
        self.wire = Wire(inbox=deque(), baud=baud, send=self.sent.append)
        self.program = load_program(elf, board.memory)
        self.machine = Machine(
            self.program, board, mode=mode, revision=revision, wire=self.wire, refused=self.refusals.append,
            watchdog_speed=watchdog_speed,
        )  # fmt: skip
        self.end: EmulatorRefusal | None = None
        self.crash: BaseException | None = None
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> Bench:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        while self._thread.is_alive():
            self.machine.stop()
            self._thread.join(0.005)
        if self.crash is not None:
            raise self.crash

    def send(self, data: bytes) -> None:
        """Bytes from the host."""
        self.wire.inbox.extend(data)
        self.machine.bytes_arrived()

    def receive(self, count: int) -> bytes:
        """Wait for `count` bytes from the board, nudging it like the serial port's thread does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.sent) < count:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise AssertionError(f"{len(self.sent)} of {count} bytes: {bytes(self.sent)!r}, ended: {self.end}")
            if self.machine.wants_nudge:
                self.machine.nudge()
            self.machine.watch()
            time.sleep(0.0005)
        return bytes(self.sent.popleft() for _ in range(count))

    def words(self, count: int) -> tuple[int, ...]:
        """Wait for `count` words from the board."""
        return struct.unpack(f"<{count}I", self.receive(4 * count))

    def fault_report(self) -> FaultReport:
        """Wait for what the fault handler sends."""
        mark, *rest = self.words(8)
        assert mark == FAULT_MARK, hex(mark)
        return FaultReport(*rest)

    def wait_for_end(self) -> EmulatorRefusal:
        """Wait until the program is stopped for good."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), f"still running; sent {bytes(self.sent)!r}"
        if self.crash is not None:
            raise self.crash
        assert self.end is not None
        return self.end

    def _live(self) -> None:
        try:
            self.end = self.machine.run()
        except BaseException as error:
            self.crash = error
