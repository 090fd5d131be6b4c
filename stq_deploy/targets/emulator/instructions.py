"""The part of the Thumb-2 encoding (ARMv7-M ARM, A5) that gives lengths, FPU use and operand addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

WFI = 0xBF30
WFE = 0xBF20
YIELD = 0xBF10
ENABLE_INTERRUPTS = 0xB662  # cpsie i
ALWAYS = 0xE


def is_wide(first: int) -> bool:
    """Whether the halfword `first` begins a 32-bit instruction."""
    return first >= 0xE800


def count_instructions(code: bytes) -> int:
    """How many instructions `code` holds; it must hold whole ones."""
    count = position = 0
    while position < len(code):
        position += 4 if is_wide(int.from_bytes(code[position : position + 2], "little")) else 2
        count += 1
    return count


def uses_fpu(first: int, second: int) -> bool:
    """Whether it is an instruction of coprocessors 10 and 11."""
    return first & 0xEC00 == 0xEC00 and second >> 8 & 0xF in (10, 11)


def unmasks_interrupts(first: int, second: int) -> bool:
    """cpsie i, msr primask, msr basepri."""
    return first == ENABLE_INTERRUPTS or (first & 0xFFF0 == 0xF380 and second in (0x8810, 0x8811))


@dataclass(frozen=True)
class Instruction:
    """One instruction in its place.

    Attributes:
        condition: its condition in an IT block; ALWAYS outside one.
    """

    address: int
    first: int
    second: int
    condition: int

    @property
    def end(self) -> int:
        """Address after it."""
        return self.address + (4 if is_wide(self.first) else 2)


def walk(address: int, code: bytes) -> Iterator[Instruction]:
    """The instructions of straight code."""
    conditions: list[int] = []
    position = 0
    while position + 2 <= len(code):
        first = int.from_bytes(code[position : position + 2], "little")
        wide = is_wide(first)
        second = int.from_bytes(code[position + 2 : position + 4], "little") if wide else 0
        yield Instruction(address + position, first, second, conditions.pop(0) if conditions else ALWAYS)
        if first & 0xFF00 == 0xBF00 and first & 0xF:
            conditions = _it_conditions(first)
        position += 4 if wide else 2


def _it_conditions(it: int) -> list[int]:
    """Conditions of the instructions in the block that `it` opens (A7.3.2)."""
    base, mask = it >> 4 & 0xE, it & 0xF
    count = 4 - (mask & -mask).bit_length() + 1
    bits = [it >> 4 & 1] + [mask >> 3 - n & 1 for n in range(count - 1)]
    return [base | bit for bit in bits]


def condition_holds(condition: int, flags: int) -> bool:
    """Whether `condition` holds for an xPSR of `flags`."""
    n, z, c, v = (bool(flags >> bit & 1) for bit in (31, 30, 29, 28))
    truths = (z, c, n, v, c and not z, n == v, not z and n == v, True)
    return truths[condition >> 1] != bool(condition & 1 and condition < ALWAYS)


@dataclass(frozen=True)
class WordAccess:
    """A load or store that faults unless its address is a multiple of four, whatever CCR.UNALIGN_TRP is (A3.2.1)."""

    base: int  # register number
    offset: int

    def address(self, read_register: Callable[[int], int]) -> int:
        """The first address touched."""
        return read_register(self.base) + self.offset & 0xFFFF_FFFF


@dataclass(frozen=True)
class Division:
    """SDIV or UDIV by register `divisor`."""

    divisor: int


def word_access(first: int, second: int) -> WordAccess | None:
    """LDM, STM, LDRD, STRD, VLDM, VSTM, VLDR, VSTR; None for others, and for those that are always aligned.

    The stack pointer's and PC's lowest bits are zero in hardware, so accesses through them are always aligned.
    """
    base = first & 0xF
    offset = 0
    if first & 0xF000 == 0xC000:  # 16-bit LDM, STM
        base = first >> 8 & 7
    elif first & 0xFE40 == 0xE800:  # 32-bit LDM, STM
        if first & 0x0180 == 0x0100:  # decrement before
            offset = -4 * second.bit_count()
    elif first & 0xFE40 == 0xE840 and first & 0x0120:  # LDRD, STRD; without P and W it is LDREX and the like
        if first & 0x0100:
            offset = 4 * (second & 0xFF) * (1 if first & 0x0080 else -1)
    elif first & 0xFE00 == 0xEC00 and uses_fpu(first, second) and first & 0x01A0:
        if first & 0x0120 == 0x0100:  # VLDR, VSTR
            offset = 4 * (second & 0xFF) * (1 if first & 0x0080 else -1)
        elif first & 0x0100:  # VLDMDB, VSTMDB
            offset = -4 * (second & 0xFF)
    else:
        return None
    return None if base in (13, 15) else WordAccess(base, offset)


def division(first: int, second: int) -> Division | None:
    """SDIV or UDIV; None for others."""
    if first & 0xFFD0 == 0xFB90 and second & 0xF0F0 == 0xF0F0:
        return Division(second & 0xF)
    return None


def accessed_address(first: int, second: int, read_register: Callable[[int], int]) -> int | None:
    """Address that a load or store of one byte, halfword or word is about to access (A5.2.4, A5.3.7 to A5.3.10).

    None for other instructions and for those relative to SP and PC, which do not reach peripherals.
    """
    group = first >> 12
    if group == 0x5:
        base, offset = first >> 3 & 7, read_register(first >> 6 & 7)
    elif group in (0x6, 0x7, 0x8):
        base, offset = first >> 3 & 7, (first >> 6 & 0x1F) * {0x6: 4, 0x7: 1, 0x8: 2}[group]
    elif first & 0xFE00 == 0xF800:
        base = first & 0xF
        if first & 0x0080:
            offset = second & 0xFFF
        elif second & 0x0800:
            is_before, is_up = second & 0x0400, second & 0x0200
            offset = (second & 0xFF) * (1 if is_up else -1) if is_before else 0
        else:
            offset = read_register(second & 0xF) << (second >> 4 & 3)
    else:
        return None
    return None if base in (13, 15) else read_register(base) + offset & 0xFFFF_FFFF
