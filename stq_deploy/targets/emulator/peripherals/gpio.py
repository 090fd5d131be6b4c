"""General-purpose I/O: RM0433 "General-purpose I/Os (GPIO)". Pins have functions; their levels have no effect."""

from __future__ import annotations

from stq_deploy.targets.emulator.peripherals.peripheral import Gate, Peripheral, Register

_ALTERNATE_FUNCTION = 2


class GpioPort(Peripheral):
    """One port of 16 pins."""

    registers = (
        Register("MODER", 0x00, reset=0xFFFF_FFFF),
        Register("OTYPER", 0x04, writable=0xFFFF),
        Register("OSPEEDR", 0x08),
        Register("PUPDR", 0x0C),
        Register("IDR", 0x10, read_only=True),
        Register("ODR", 0x14, writable=0xFFFF),
        Register("BSRR", 0x18),
        Register("AFRL", 0x20),
        Register("AFRH", 0x24),
    )

    def __init__(self, name: str, base: int, gate: Gate) -> None:
        super().__init__(name, base, gate)
        self.on_read["BSRR"] = lambda: 0
        self.on_write["BSRR"] = self._write_bsrr

    def alternate_function(self, pin: int) -> int | None:
        """Number of the alternate function the pin is connected to; None if it is in another mode."""
        if self.values["MODER"] >> (2 * pin) & 3 != _ALTERNATE_FUNCTION:
            return None
        return self.values["AFRH" if pin >= 8 else "AFRL"] >> (4 * (pin % 8)) & 0xF

    def _write_bsrr(self, value: int) -> None:
        self.values["ODR"] = (self.values["ODR"] & ~(value >> 16)) | (value & 0xFFFF)
