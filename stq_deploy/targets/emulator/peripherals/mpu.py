"""Memory protection unit: ARMv7-M ARM B3.5 (PMSAv7). What it forbids is enforced on the chip's memories.

Regions may be as small as 1 KiB here (32 bytes on the chip), the page size of the emulated core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stq_deploy.targets.emulator.peripherals.peripheral import Peripheral, Register
from stq_deploy.targets.emulator.refusals import NotModelled

REGIONS = 16
PAGE_BYTES = 1024


@dataclass(frozen=True)
class Rights:
    """The rights of privileged code."""

    read: bool
    write: bool
    execute: bool


ALL_RIGHTS = Rights(True, True, True)
NO_RIGHTS = Rights(False, False, False)


@dataclass
class _Region:
    base: int = 0
    attributes: int = 0

    @property
    def bytes(self) -> int:
        return 1 << (self.attributes >> 1 & 0x1F) + 1

    def covers(self, address: int) -> bool:
        if not self.attributes & 1 or address & -self.bytes != self.base:
            return False
        eighth = (address - self.base) * 8 // self.bytes
        return not self.attributes >> 8 + eighth & 1

    @property
    def rights(self) -> Rights:
        access = self.attributes >> 24 & 7
        read = access in (1, 2, 3, 5, 6, 7)
        return Rights(read, access in (1, 2, 3), read and not self.attributes >> 28 & 1)


class Mpu(Peripheral):
    """Sixteen regions; the highest-numbered one that covers an address decides.

    Args:
        changed: called when rights may have changed.
    """

    registers = (
        Register("TYPE", 0x00, reset=REGIONS << 8, read_only=True),
        Register("CTRL", 0x04, writable=0x7),
        Register("RNR", 0x08, writable=0xF),
        Register("RBAR", 0x0C),
        Register("RASR", 0x10, writable=0x173F_FF3F),
    )

    def __init__(self, base: int, changed: Callable[[], None]) -> None:
        super().__init__("MPU", base)
        self._changed = changed
        self._regions = [_Region() for _ in range(REGIONS)]
        self.on_read.update(RBAR=self._read_rbar, RASR=lambda: self._selected.attributes)
        self.on_write.update(CTRL=lambda value: changed(), RBAR=self._write_rbar, RASR=self._write_rasr)

    @property
    def is_enabled(self) -> bool:
        """Whether any region counts."""
        return bool(self.values["CTRL"] & 1)

    def rights(self, address: int) -> Rights:
        """Rights at `address`; code at HardFault priority is treated alike (CTRL.HFNMIENA set)."""
        if not self.is_enabled:
            return ALL_RIGHTS
        for region in reversed(self._regions):
            if region.covers(address):
                return region.rights
        return ALL_RIGHTS if self.values["CTRL"] & 4 else NO_RIGHTS

    def boundaries(self, first: int, end: int) -> list[int]:
        """Addresses in first..end where rights may change, ascending, both ends included."""
        points = {first, end}
        for region in self._regions if self.is_enabled else ():
            if region.attributes & 1:
                step = max(region.bytes // 8, 1)
                points.update(p for p in range(region.base, region.base + region.bytes + 1, step) if first < p < end)
        return sorted(points)

    @property
    def _selected(self) -> _Region:
        return self._regions[self.values["RNR"]]

    def _read_rbar(self) -> int:
        return self._selected.base | self.values["RNR"]

    def _write_rbar(self, value: int) -> None:
        if value & 1 << 4:
            self.values["RNR"] = value & 0xF
        self._selected.base = value & ~0x1F
        self._changed()

    def _write_rasr(self, value: int) -> None:
        region = self._selected
        region.attributes = value
        subregion_bytes = region.bytes // 8 if value >> 8 & 0xFF else region.bytes
        if value & 1 and subregion_bytes < PAGE_BYTES:
            raise NotModelled(
                f"MPU region {self.values['RNR']} has parts of {subregion_bytes} bytes",
                f"the emulator protects memory in pages of {PAGE_BYTES} bytes",
            )
        if value & 1 and region.base % region.bytes:
            raise NotModelled(
                f"MPU region {self.values['RNR']} starts at 0x{region.base:08X}",
                f"a region of {region.bytes} bytes must start at a multiple of its size",
            )
        self._changed()
