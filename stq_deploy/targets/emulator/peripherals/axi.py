"""AXI interconnect: RM0433 "AXI interconnect registers". Only what errata work-arounds touch; no effect here."""

from __future__ import annotations

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register


class AxiInterconnect(Peripheral):
    """The issuing override of target 7, the AXI SRAM (errata ES0392)."""

    registers = (Register("TARG7_FN_MOD", 0x8108, writable=0x3),)

    def __init__(self, base: int) -> None:
        super().__init__("AXI", base)
