"""Debug blocks a program may use by itself: the cycle counter and the chip's identity.

ARMv7-M ARM C1.8 "Data Watchpoint and Trace unit"; RM0433 "Debug infrastructure".
"""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse

_TRACE_ENABLED = 1 << 24
_UNLOCK_KEY = 0xC5AC_CE55


class CoreDebug(Peripheral):
    """DEMCR, whose TRCENA powers the DWT."""

    registers = (Register("DEMCR", 0x0C, writable=_TRACE_ENABLED),)

    def __init__(self, base: int) -> None:
        super().__init__("DEBUG", base)

    @property
    def trace_enabled(self) -> bool:
        """DEMCR.TRCENA."""
        return bool(self.values["DEMCR"] & _TRACE_ENABLED)


class Dwt(Peripheral):
    """CYCCNT. It counts executed instructions in counting mode, and stays at 0 in fast mode.

    Args:
        is_powered: DEMCR.TRCENA.
        executed: instructions executed so far.
    """

    registers = (
        Register("CTRL", 0x000, reset=0x4000_0000, writable=0x1, ignored=0xF000_0000),
        Register("CYCCNT", 0x004),
        Register("LAR", 0xFB0),
        Register("LSR", 0xFB4, read_only=True),
    )

    def __init__(self, base: int, is_powered: Callable[[], bool], executed: Callable[[], int]) -> None:
        super().__init__("DWT", base)
        self._is_powered = is_powered
        self._executed = executed
        self._unlocked = False
        self._running = False
        self._offset = 0
        self.on_read.update(CYCCNT=self._count, LAR=lambda: 0, LSR=lambda: 1 if self._unlocked else 3)
        self.on_write.update(CTRL=self._write_ctrl, CYCCNT=self._write_cyccnt, LAR=self._write_lar)

    def _require(self, what: str, *, unlocked: bool) -> None:
        if not self._is_powered():
            raise Misuse(f"DWT_{what} is written while tracing is off", "DEMCR.TRCENA must be set first")
        if unlocked and not self._unlocked:
            raise Misuse(f"DWT_{what} is written while the DWT is locked", "DWT_LAR must get 0xC5ACCE55 first")

    def _count(self) -> int:
        value = self._executed() - self._offset if self._running else self.values["CYCCNT"]
        return value & 0xFFFF_FFFF

    def _write_ctrl(self, value: int) -> None:
        self._require("CTRL", unlocked=True)
        held = self._count()
        self._running = bool(value & 1)
        self._offset = self._executed() - held
        self.values["CYCCNT"] = held

    def _write_cyccnt(self, value: int) -> None:
        self._require("CYCCNT", unlocked=True)
        self._offset = self._executed() - value

    def _write_lar(self, value: int) -> None:
        self._require("LAR", unlocked=False)
        self._unlocked = value == _UNLOCK_KEY


class Dbgmcu(Peripheral):
    """IDC: device and silicon revision. APB4FZ1: what stops while a debugger halts the core (here none does)."""

    registers = (Register("IDC", 0x00, read_only=True), Register("APB4FZ1", 0x54, writable=1 << 18))

    def __init__(self, base: int, identity: int) -> None:
        super().__init__("DBGMCU", base)
        self.values["IDC"] = identity
