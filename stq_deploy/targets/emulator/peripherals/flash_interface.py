"""Embedded flash's access control: RM0433 "Embedded flash memory". Programming and erasing are not emulated."""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse

# RM0433, "FLASH recommended number of wait states and programming delay": by voltage scale, highest AXI clock in MHz
# for 0, 1, 2 ... wait states. VOS0 continues where VOS1 ends.
_HIGHEST_AXI_MHZ = {
    0: (70, 140, 210, 225, 240),
    1: (70, 140, 210, 225, 225),
    2: (55, 110, 165, 225, 225),
    3: (45, 90, 135, 180, 225),
}


class FlashInterface(Peripheral):
    """FLASH_ACR: wait states."""

    registers = (Register("ACR", 0x00, reset=0x0000_0037, writable=0x0000_003F),)

    def __init__(self, base: int, voltage_scale: Callable[[], int], axi_hz: Callable[[], int]) -> None:
        super().__init__("FLASH", base)
        self._voltage_scale = voltage_scale
        self.on_write["ACR"] = lambda value: self.check(axi_hz())

    def check(self, axi_hz: int) -> None:
        """Refuse too few wait states for an AXI clock of `axi_hz`.

        Raises:
            Misuse: with figures.
        """
        limits = _HIGHEST_AXI_MHZ[self._voltage_scale()]
        wait_states = self.values["ACR"] & 0xF
        highest = limits[min(wait_states, len(limits) - 1)]
        if axi_hz > highest * 1_000_000:
            needed = next((n for n, limit in enumerate(limits) if axi_hz <= limit * 1_000_000), len(limits))
            raise Misuse(
                f"flash is read at {axi_hz / 1e6:g} MHz with {wait_states} wait states",
                f"VOS{self._voltage_scale()} needs {needed} wait states for that clock (FLASH_ACR.LATENCY)",
            )
