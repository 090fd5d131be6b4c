"""SysTick: ARMv7-M ARM B3.3. It only ends a sleep whose interrupts are masked; its exception is not taken."""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import NotModelled

_ENABLE, _INTERRUPT, _CORE_CLOCK = 1, 2, 4


class SysTick(Peripheral):
    """Counts while the core sleeps, and not while the core runs.

    Args:
        core_hz: the core's clock.

    Attributes:
        pending: its exception is pending.
    """

    registers = (
        Register("CSR", 0x10, writable=0x7),
        Register("RVR", 0x14, writable=0xFF_FFFF),
        Register("CVR", 0x18),
    )

    def __init__(self, base: int, core_hz: Callable[[], int]) -> None:
        super().__init__("SYST", base)
        self._core_hz = core_hz
        self.pending = False
        self.on_read["CVR"] = lambda: 0
        self.on_write["CSR"] = self._write_csr

    @property
    def sleep_seconds(self) -> float | None:
        """Seconds until it ends a sleep; None if it does not."""
        if self.values["CSR"] & (_ENABLE | _INTERRUPT) != _ENABLE | _INTERRUPT:
            return None
        return float((self.values["RVR"] + 1) / self._core_hz())

    @property
    def interrupts_when_unmasked(self) -> bool:
        """Whether its exception would be taken as soon as nothing masks it, or soon after."""
        return self.pending or self.sleep_seconds is not None

    def _write_csr(self, value: int) -> None:
        if value & _ENABLE and not value & _CORE_CLOCK:
            raise NotModelled("SysTick counts its external clock", "only the core's clock is emulated")
