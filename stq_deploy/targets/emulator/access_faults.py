"""Why an access that Unicorn could not make is refused, in the hardware's terms."""

from __future__ import annotations

from dataclasses import dataclass

from unicorn import UC_MEM_FETCH_PROT, UC_MEM_FETCH_UNMAPPED, UC_MEM_WRITE_PROT, UC_MEM_WRITE_UNMAPPED

from stq_deploy.targets.boards import Memory
from stq_deploy.targets.emulator import exceptions as ex
from stq_deploy.targets.emulator.refusals import HardwareFault, Misuse
from stq_deploy.targets.emulator.stm32h743 import Chip


@dataclass(frozen=True)
class BadAccess:
    """The access as Unicorn reports it.

    Attributes:
        kind: UC_MEM_*.
        pc: address of the instruction.
    """

    kind: int
    address: int
    pc: int


def explain_access(bad: BadAccess, memory: Memory | None, chip: Chip) -> HardwareFault | Misuse:
    """The chip's reaction to the access.

    Args:
        memory: the one that has the address, if any.
    """
    rights = chip.mpu.rights(bad.address)
    if bad.kind in (UC_MEM_FETCH_UNMAPPED, UC_MEM_FETCH_PROT):
        if is_execute_never(bad.address) or not rights.execute:
            return execute_never(bad.address)
        verb, is_allowed, status = "execution", True, ex.INSTRUCTION_BUS
    elif bad.kind in (UC_MEM_WRITE_UNMAPPED, UC_MEM_WRITE_PROT):
        # Stores are buffered: the core has moved on when the bus refuses.
        verb, is_allowed, status = "a write", rights.write, ex.IMPRECISE
    else:
        verb, is_allowed, status = "a read", rights.read, ex.PRECISE | ex.BFAR_VALID
    what = f"{verb} at 0x{bad.address:08X}"
    if not is_allowed:
        return HardwareFault(
            what,
            "the MPU forbids it",
            exception=ex.MEM_MANAGE,
            status=ex.DATA_ACCESS_VIOLATION | ex.MMFAR_VALID,
            address=bad.address,
        )
    if memory is None:
        return HardwareFault(what, "there is no memory", exception=ex.BUS_FAULT, status=status, address=bad.address)
    if not chip.memory_is_clocked(bad.address):
        return Misuse(what, f"the clock of {memory.name} is off (RCC_AHB2ENR)")
    return Misuse(what, "flash cannot be written like RAM: the chip drops the write and sets PGSERR")


def is_execute_never(address: int) -> bool:
    """Whether the default memory map forbids execution there (ARMv7-M ARM B3.1)."""
    return 0x4000_0000 <= address < 0x6000_0000 or address >= 0xA000_0000


def execute_never(address: int) -> HardwareFault:
    """The fault raised by executing there."""
    return HardwareFault(
        f"execution at 0x{address:08X}",
        "that memory is execute-never",
        exception=ex.MEM_MANAGE,
        status=ex.INSTRUCTION_ACCESS_VIOLATION,
    )
