"""Loads and stores to peripherals: finds the register, and handles Unicorn's repeated accesses.

When Unicorn stops during an access to a peripheral, it leaves the core *before* that instruction and executes it again
on resumption. A byte must not be received or sent twice, and an interrupt that the handler has disabled must not be
enabled again. So `Bus` answers the repetition from memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stq_deploy.targets.emulator.peripherals.peripheral import WORD, Peripheral, Register
from stq_deploy.targets.emulator.refusals import NotModelled


@dataclass(frozen=True)
class _RegisterPlace:
    peripheral: Peripheral
    register: Register


_Access = tuple[bool, int, int, int]
"""Whether it is a store, address, size, and the stored value (0 for loads)."""

Repetition = tuple[_Access, int] | None
"""An access that may be repeated, with its result."""


class Bus:
    """The chip's peripherals by address."""

    def __init__(self, peripherals: Iterable[Peripheral]) -> None:
        self._places = {
            peripheral.base + register.offset: _RegisterPlace(peripheral, register)
            for peripheral in peripherals
            for register in peripheral.registers
        }
        self._last: Repetition = None
        self._repeatable: Repetition = None

    def load(self, address: int, size: int) -> int:
        """A load of `size` bytes. Exceptions of the peripheral pass through."""
        access = (False, address, size, 0)
        before, self._repeatable = self._repeatable, None
        if before is not None and before[0] == access:
            value = before[1]
        else:
            place = self._place(address, size)
            value = place.peripheral.read(place.register)
            if size < 4:
                value = value >> 8 * (address & 3) & ((1 << 8 * size) - 1)
        self._last = (access, value)
        return value

    def store(self, address: int, size: int, value: int) -> None:
        """A store of `size` bytes. Exceptions of the peripheral pass through."""
        access = (True, address, size, value)
        before, self._repeatable = self._repeatable, None
        if before is None or before[0] != access:
            place = self._place(address, size)
            if size < 4:
                shift = 8 * (address & 3)
                mask = (1 << 8 * size) - 1 << shift
                value = (place.peripheral.values[place.register.name] & ~mask & WORD) | (value << shift & mask)
            place.peripheral.write(place.register, value)
        self._last = (access, 0)

    def stopped_before_access(self, address: int | None) -> None:
        """The core was stopped and accesses `address` next, which is a repetition if the latest access was there as
        well.

        A polling loop may do the same without a repetition; it then sees the last value once more.
        """
        if self._last is not None and self._last[0][1] == address:
            self._repeatable = self._last

    def suspend(self) -> Repetition:
        """An interrupt handler is entered before the repetition: keep this for `resume`."""
        repeatable, self._repeatable = self._repeatable, None
        return repeatable

    def resume(self, suspended: Repetition) -> None:
        """The handler has returned to the instruction that may be repeated."""
        self._repeatable = suspended

    def _place(self, address: int, size: int) -> _RegisterPlace:
        place = self._places.get(address & ~3)
        if place is None:
            raise NotModelled(f"address 0x{address:08X} is accessed ({size} bytes)", "no register is emulated there")
        return place
