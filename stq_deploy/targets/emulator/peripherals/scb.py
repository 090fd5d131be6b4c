"""System control block: ARMv7-M ARM B3.2 and PM0253 "Core peripherals"; cache maintenance; FPU context control."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse, NotModelled, ResetRequest

_RESET_KEY = 0x05FA
_DATA_CACHE = 0xF01F_E019  # CCSIDR: 16 KiB, 4 ways, 32-byte lines
_INSTRUCTION_CACHE = 0xF03F_E009  # CCSIDR: 16 KiB, 2 ways

CCR_DIVISION_BY_ZERO_TRAPS = 1 << 4
CCR_UNALIGNED_TRAPS = 1 << 3
HFSR_VECTOR_TABLE, HFSR_FORCED, HFSR_DEBUG_EVENT = 1 << 1, 1 << 30, 1 << 31


class Scb(Peripheral):
    """The configuration of the core's exceptions, caches and FPU.

    Args:
        fpu_enabled: called when CPACR grants (True) or revokes (False) the FPU.
    """

    registers = (
        Register("CPUID", 0xD00, reset=0x411F_C271, read_only=True),
        Register("ICSR", 0xD04, writable=1 << 25),  # PENDSTCLR
        Register("VTOR", 0xD08, writable=0xFFFF_FF80),
        Register("AIRCR", 0xD0C, reset=0xFA05_0000, writable=0xFFFF_0704),
        Register("SCR", 0xD10, writable=0),
        Register("CCR", 0xD14, reset=0x0004_0200, writable=0x0007_0218),
        Register("SHPR1", 0xD18, writable=0x00F0_F0F0),
        Register("SHPR2", 0xD1C, writable=0xF000_0000),
        Register("SHPR3", 0xD20, writable=0xF0F0_0000),
        Register("SHCSR", 0xD24, writable=0x0007_0000),
        Register("CFSR", 0xD28, ones_clear=True),
        Register("HFSR", 0xD2C, ones_clear=True),
        Register("DFSR", 0xD30, ones_clear=True),
        Register("MMFAR", 0xD34),
        Register("BFAR", 0xD38),
        Register("AFSR", 0xD3C),
        Register("CLIDR", 0xD78, reset=0x0900_0003, read_only=True),
        Register("CTR", 0xD7C, reset=0x8303_C003, read_only=True),
        Register("CCSIDR", 0xD80, read_only=True),
        Register("CSSELR", 0xD84, writable=0x1),
        Register("CPACR", 0xD88, writable=0xF << 20),  # CP10, CP11
        Register("FPCCR", 0xF34, reset=0xC000_0000, read_only=True),
        Register("ICIALLU", 0xF50),
        Register("ICIMVAU", 0xF58),
        Register("DCIMVAC", 0xF5C),
        Register("DCISW", 0xF60),
        Register("DCCMVAU", 0xF64),
        Register("DCCMVAC", 0xF68),
        Register("DCCSW", 0xF6C),
        Register("DCCIMVAC", 0xF70),
        Register("DCCISW", 0xF74),
    )

    def __init__(self, base: int, *, vector_table: int, fpu_enabled: Callable[[bool], None]) -> None:
        super().__init__("SCB", base)
        self.values["VTOR"] = vector_table
        self._fpu_enabled = fpu_enabled
        self._invalidated = {"DCISW": False, "ICIALLU": False}
        self.on_read["CCSIDR"] = lambda: _INSTRUCTION_CACHE if self.values["CSSELR"] & 1 else _DATA_CACHE
        self.on_read["AIRCR"] = lambda: 0xFA05_0000 | self.values["AIRCR"] & 0x700
        self.on_write.update(AIRCR=self._write_aircr, CCR=self._write_ccr, CPACR=self._write_cpacr)
        for name in self._invalidated:
            self.on_write[name] = partial(self._invalidate, name)

    @property
    def vector_table(self) -> int:
        """Address of the vector table."""
        return self.values["VTOR"]

    @property
    def has_fpu(self) -> bool:
        """Whether CPACR lets privileged code use the FPU."""
        cp10, cp11 = (self.values["CPACR"] >> shift & 3 for shift in (20, 22))
        return cp10 == cp11 and cp10 in (1, 3)

    @property
    def divisions_trap(self) -> bool:
        """Whether a division by zero is a fault."""
        return bool(self.values["CCR"] & CCR_DIVISION_BY_ZERO_TRAPS)

    def add_status(self, register: str, bits: int) -> None:
        """Set `bits` in CFSR, HFSR or DFSR."""
        self.values[register] |= bits

    def _invalidate(self, name: str, _value: int) -> None:
        self._invalidated[name] = True

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != _RESET_KEY:
            raise Misuse(f"SCB_AIRCR is written with 0x{value:08X}", "the chip ignores it without the key 0x05FA")
        if value & 4:
            raise ResetRequest

    def _write_ccr(self, value: int) -> None:
        if value & CCR_UNALIGNED_TRAPS:
            raise NotModelled("SCB_CCR.UNALIGN_TRP is set", "only what faults without it is detected")
        for bit, name, cache in ((16, "DCISW", "data"), (17, "ICIALLU", "instruction")):
            if value >> bit & 1 and not self._invalidated[name]:
                raise Misuse(
                    f"the {cache} cache is enabled without having been invalidated",
                    f"after power-up its contents are random: write SCB_{name} first",
                )

    def _write_cpacr(self, value: int) -> None:
        self._fpu_enabled(self.has_fpu)
