"""System configuration: RM0433 "System configuration controller (SYSCFG)"."""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.targets.emulator.peripherals.peripheral import Gate, Peripheral, Register
from stq_deploy.targets.emulator.refusals import Misuse


class Syscfg(Peripheral):
    """The overdrive bit for VOS0; only silicon with overdrive accepts it.

    Args:
        has_overdrive: whether this silicon revision has VOS0.
        is_scale1: whether the voltage is VOS1 now.
    """

    registers = (Register("PWRCR", 0x2C, writable=0x0000_0001),)

    def __init__(
        self,
        base: int,
        gate: Gate,
        *,
        has_overdrive: bool,
        is_scale1: Callable[[], bool],
    ) -> None:
        super().__init__("SYSCFG", base, gate)
        self._has_overdrive = has_overdrive
        self._is_scale1 = is_scale1
        self.on_write["PWRCR"] = self._write_pwrcr

    def is_overdriven(self) -> bool:
        """Whether the overdrive bit is set."""
        return bool(self.values["PWRCR"] & 1)

    def _write_pwrcr(self, value: int) -> None:
        if value & 1 and not self._has_overdrive:
            raise Misuse("SYSCFG_PWRCR.ODEN is set", "this silicon revision has no VOS0: its limit is 400 MHz")
        if value & 1 and not self._is_scale1():
            raise Misuse("SYSCFG_PWRCR.ODEN is set", "VOS0 is reached from VOS1 only")
