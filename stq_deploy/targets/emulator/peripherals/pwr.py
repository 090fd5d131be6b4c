"""Power control: RM0433 "Power control (PWR)". Voltages are reached at once."""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse

_VOLTAGE_READY = 1 << 13  # CSR1.ACTVOSRDY and D3CR.VOSRDY


class Pwr(Peripheral):
    """Voltage scaling: D3CR chooses VOS1 to VOS3, SYSCFG's overdrive bit makes VOS0 of VOS1."""

    registers = (
        Register("CR1", 0x00, reset=0xF000_C000),
        Register("CSR1", 0x04, reset=0x0000_4000, read_only=True),
        Register("CR3", 0x0C, reset=0x0000_0006, writable=0x0000_0007),
        Register("D3CR", 0x18, reset=0x0000_4000, writable=0x0000_C000, ignored=_VOLTAGE_READY),
    )

    def __init__(self, base: int) -> None:
        super().__init__("PWR", base)
        self.is_overdriven: Callable[[], bool] = lambda: False
        self._supply_stated = False
        self.on_read.update(CSR1=self._read_csr1, D3CR=lambda: self.values["D3CR"] | _VOLTAGE_READY)
        self.on_write.update(CR3=self._write_cr3, D3CR=self._write_d3cr)

    def voltage_scale(self) -> int:
        """0 (highest voltage and clocks) to 3."""
        scale = {3: 1, 2: 2, 1: 3}.get(self.values["D3CR"] >> 14 & 3, 3)
        return 0 if scale == 1 and self.is_overdriven() else scale

    def _read_csr1(self) -> int:
        return self.values["D3CR"] & 0xC000 | _VOLTAGE_READY  # ACTVOS is VOS

    def _write_cr3(self, value: int) -> None:
        self._supply_stated = True

    def _write_d3cr(self, value: int) -> None:
        if not self._supply_stated:
            raise Misuse(
                "PWR_D3CR changes the voltage before PWR_CR3 has been written",
                "the chip ignores it until the supply is stated once (RM0433, system supply startup)",
            )
