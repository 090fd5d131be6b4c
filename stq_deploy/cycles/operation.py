"""An instruction as the cycle models see it: registers read by stage, registers written, and the unit it occupies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FLAGS = 16
"""Number of the condition flags among the registers."""
STACK, LINK, PROGRAM = 13, 14, 15
FPU_REGISTER = 32
"""S0 is this register; D registers are pairs of S registers."""


class CoreUnit(StrEnum):
    """The unit of the core that executes an instruction, or the kind of an instruction that needs none."""

    ALU = "alu"  # add, logic, compare, move of a constant or register
    SHIFT = "shift"  # a shift or rotation as an instruction of its own
    DSP = "dsp"  # bit fields, extension, lanes, saturation
    MAC = "mac"  # multiplication, with or without accumulation
    DIVIDE = "divide"
    LOAD = "load"
    STORE = "store"
    LOAD_MANY = "load many"  # LDRD, LDM, POP
    STORE_MANY = "store many"
    BRANCH = "branch"
    IT = "it"
    NOP = "nop"
    FPU = "fpu"
    OTHER = "other"  # no rule is known


class Early(StrEnum):
    """Where the early ALU of a Cortex-M7 may take an instruction."""

    NEVER = "never"
    OLDER = "older"  # as the older of a pair
    EITHER = "either"
    ALWAYS = "always"


@dataclass(frozen=True)
class Operation:
    """One instruction.

    Registers are numbers: R0 to R15, `FLAGS`, and `FPU_REGISTER` on.

    Attributes:
        address, size: its place, and 2 or 4 bytes.
        name: mnemonic without suffixes.
        late: registers that the ordinary ALU stage reads.
        early: registers needed one stage sooner: addresses, and operands shifted on the way.
        added: registers that only the accumulation of a multiplication reads.
        stored: registers whose value is stored.
        results: registers written, except `base`; in the order of their addresses for loads of several words.
        base: address register that the instruction also changes; -1 for none.
        is_shifted: uses the shifter in front of the ALU: a shifted register, or a constant made by a rotation.
        is_bit_move: a bit field, extension or packing, which needs that shifter's path as well.
        takes_early: whether the early ALU may take it.
        access: bytes of each access to memory; 0 for none.
        words: accesses to memory.
        offset: bytes from the address register to the first access; None if another register takes part, or the
            register is the PC.
        target: where it may jump; -1 if that is not in its encoding.
        is_conditional: whether it may be skipped.
    """

    address: int
    size: int
    name: str
    unit: CoreUnit
    late: tuple[int, ...] = ()
    early: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    stored: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    base: int = -1
    is_shifted: bool = False
    is_bit_move: bool = False
    takes_early: Early = Early.NEVER
    access: int = 0
    words: int = 0
    offset: int | None = None
    target: int = -1
    is_conditional: bool = False

    @property
    def end(self) -> int:
        """Address after it."""
        return self.address + self.size

    @property
    def sets_flags(self) -> bool:
        return FLAGS in self.results

    @property
    def is_jump(self) -> bool:
        """Whether the next instruction may be another than the one after it."""
        return self.unit is CoreUnit.BRANCH or PROGRAM in self.results
