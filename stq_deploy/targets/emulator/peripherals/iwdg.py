"""Independent watchdog: RM0433 "Independent watchdog (IWDG)". Its window is not emulated.

Its oscillator follows the machine's time; an update of its registers takes effect at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse, NotModelled

LSI_HZ = 32_000
_START, _UNLOCK, _RELOAD = 0xCCCC, 0x5555, 0xAAAA
_DIVIDERS = (4, 8, 16, 32, 64, 128, 256, 256)


class Iwdg(Peripheral):
    """Counts down once it is started; only a reset stops it.

    Args:
        seconds: the time that has passed for its oscillator.
    """

    registers = (
        Register("KR", 0x00, writable=0xFFFF),
        Register("PR", 0x04, writable=0x7),
        Register("RLR", 0x08, reset=0xFFF, writable=0xFFF),
        Register("SR", 0x0C, read_only=True),
        Register("WINR", 0x10, reset=0xFFF, writable=0xFFF),
    )

    def __init__(self, name: str, base: int, seconds: Callable[[], float]) -> None:
        super().__init__(name, base)
        self._seconds = seconds
        self._running = False
        self._unlocked = False
        self._reloaded = 0.0
        self.on_read["KR"] = lambda: 0
        self.on_write.update(KR=self._write_key, WINR=self._write_window)
        self.on_write.update(PR=partial(self._require_unlocked, "PR"), RLR=partial(self._require_unlocked, "RLR"))

    @property
    def expired(self) -> bool:
        """Whether it resets the chip now."""
        return self._running and self._seconds() - self._reloaded >= self.period

    @property
    def period(self) -> float:
        """Seconds from a reload to the reset."""
        return (self.values["RLR"] + 1) * _DIVIDERS[self.values["PR"]] / LSI_HZ

    def _write_key(self, key: int) -> None:
        self._unlocked = key == _UNLOCK
        if key == _START:
            self._running = True
        elif key not in (_UNLOCK, _RELOAD):
            raise Misuse(f"{self.name}_KR is written with 0x{key:04X}", "the keys are 0xCCCC, 0x5555 and 0xAAAA")
        if key in (_START, _RELOAD):
            self._reloaded = self._seconds()

    def _require_unlocked(self, what: str, _value: int) -> None:
        if not self._unlocked:
            raise Misuse(f"{self.name}_{what} is written while it is locked", "KR must get 0x5555 before")

    def _write_window(self, value: int) -> None:
        if value != 0xFFF:
            raise NotModelled(f"{self.name}_WINR is written with 0x{value:X}", "the window is not emulated")
