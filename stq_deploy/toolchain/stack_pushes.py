"""By how much a Thumb instruction lowers SP.

Compilers state no stack for what hand-written assembly pushes, neither in C functions nor in naked ones. The sum over a
function's instructions bounds it, because a loop pops what it pushes. Encodings: ARMv7-M ARM (DDI 0403), A7.7.
"""

from __future__ import annotations

_SP = 0x0D
_WORD = 4


def lowered_by(first: int, second: int) -> int:
    """Bytes by which an instruction lowers SP by a constant; 0 for any other.

    Args:
        first, second: halfwords of the instruction; `second` is 0 for an instruction of 16 bits.
    """
    if first < 0xE800:
        return _narrow(first)
    if first & 0xFFEF == 0xE92D:  # PUSH.W, which is STMDB, and LDMDB
        return _WORD * second.bit_count()
    if first & 0xFFBF == 0xED2D:  # VPUSH; the immediate counts words
        return _WORD * (second & 0xFF)
    if first & 0xFEEF == 0xE86D:  # STRD and LDRD with writeback, downwards
        return _WORD * (second & 0xFF)
    if first & 0xFE8F == 0xF80D and second & 0x0B00 == 0x0900:  # STR, LDR and the like with writeback, downwards
        return second & 0xFF
    if second & 0x8F00 == _SP << 8:
        return _subtracted(first, second)
    return 0


def moved_by_register(first: int, second: int) -> bool:
    """Whether an instruction adds a register to SP, or subtracts one."""
    if first & 0xFF87 == 0x4485:  # ADD SP, register
        return True
    return first & 0xFFEF in (0xEB0D, 0xEBAD) and second & 0x0F00 == _SP << 8  # ADD.W and SUB.W


def _narrow(first: int) -> int:
    if first & 0xFE00 == 0xB400:  # PUSH; the ninth bit is LR
        return _WORD * (first & 0x1FF).bit_count()
    if first & 0xFF80 == 0xB080:  # SUB SP, #imm7
        return _WORD * (first & 0x7F)
    return 0


def _subtracted(first: int, second: int) -> int:
    """The constant of SUB SP, SP, #constant in its two wide encodings; 0 for others."""
    constant = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    if first & 0xFBFF == 0xF2AD:  # SUBW
        return constant
    return _expanded(constant) if first & 0xFBEF == 0xF1AD else 0


def _expanded(constant: int) -> int:
    """A modified immediate constant (A5.3.2)."""
    low = constant & 0xFF
    if constant >> 10 == 0:
        return low * (0x1, 0x10001, 0x1000100, 0x1010101)[constant >> 8]
    rotation = constant >> 7
    value = 0x80 | constant & 0x7F
    return (value >> rotation | value << 32 - rotation) & 0xFFFFFFFF
