"""A peripheral: a base address, registers, a clock gate, and code for the registers that have an effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stq_deploy.targets.emulator.refusals import Misuse, NotModelled

WORD = 0xFFFF_FFFF


@dataclass(frozen=True)
class Register:
    """One 32-bit register.

    Attributes:
        offset: from the peripheral's base.
        reset: value after reset.
        writable: bits that store a written value and that this model understands.
        ignored: bits that may be written without effect; they read as after reset.
        read_only: writes change nothing, as on the chip.
        ones_clear: a one that is written clears the bit.
    """

    name: str
    offset: int
    reset: int = 0
    writable: int = WORD
    ignored: int = 0
    read_only: bool = False
    ones_clear: bool = False


@dataclass
class Gate:
    """A peripheral's clock: `bit` of the RCC register `register` switches it. `Rcc.gate` makes them."""

    register: str
    bit: int
    is_on: bool = False

    def __str__(self) -> str:
        return f"bit {self.bit} of RCC_{self.register}"


class Peripheral:
    """A block of registers.

    A subclass lists its `registers`, and puts callables into `on_read` and `on_write` for those with an effect. A
    callable in `on_write` gets the whole new value, after the storage has been updated.
    """

    registers: ClassVar[Sequence[Register]] = ()

    def __init__(self, name: str, base: int, gate: Gate | None = None) -> None:
        self.name = name
        self.base = base
        self.values = {register.name: register.reset for register in self.registers}
        self.on_read: dict[str, Callable[[], int]] = {}
        self.on_write: dict[str, Callable[[int], None]] = {}
        self._gate = gate

    def read(self, register: Register) -> int:
        """The register's value, with the effects of reading."""
        if self._gate is not None and not self._gate.is_on:
            raise self._no_clock(register)
        reader = self.on_read.get(register.name)
        return reader() if reader else self.values[register.name]

    def write(self, register: Register, value: int) -> None:
        """Write a whole word, with the effects of writing.

        Raises:
            Misuse: the clock is off, or the write breaks a rule of the peripheral.
            NotModelled: the write sets bits whose effect this model lacks.
        """
        if self._gate is not None and not self._gate.is_on:
            raise self._no_clock(register)
        if register.read_only:
            return
        if register.ones_clear:
            self.values[register.name] &= ~value
            return
        known = register.writable | register.ignored
        strange = (value ^ register.reset) & ~known & WORD
        if strange:
            raise NotModelled(
                f"{self.name}_{register.name} is written with 0x{value:08X}",
                f"the effect of bits 0x{strange:08X} is not emulated, or they are reserved",
            )
        self.values[register.name] = (value & register.writable) | (register.reset & ~register.writable)
        writer = self.on_write.get(register.name)
        if writer:
            writer(value)

    def _no_clock(self, register: Register) -> Misuse:
        return Misuse(
            f"{self.name}_{register.name} is touched while the clock of {self.name} is off",
            f"{self._gate} is 0, so on the chip reads give 0 and writes are lost",
        )
