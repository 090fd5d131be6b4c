"""The emulated core's registers by name, over Unicorn's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unicorn import UC_ARCH_ARM, UC_MODE_THUMB, Uc
from unicorn import arm_const as arm

EXCEPTION_MASK = 0x1FF
_IT_STATE = 0x0600_FC00  # EPSR.IT
FPU_ACTIVE = 1 << 2  # CONTROL.FPCA
PROCESS_STACK = 1 << 1  # CONTROL.SPSEL
UNPRIVILEGED = 1 << 0  # CONTROL.nPRIV

_GENERAL = (
    *(getattr(arm, f"UC_ARM_REG_R{n}") for n in range(13)),
    *(arm.UC_ARM_REG_SP, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_PC),
)
_FPU_FRAME = (*(getattr(arm, f"UC_ARM_REG_S{n}") for n in range(16)), arm.UC_ARM_REG_FPSCR)


def end_it_block(uc: Uc) -> None:
    """Undo Unicorn's change of state for a hook on memory accesses; every such hook calls this.

    Unicorn sets the state to that of the instruction within its IT block and leaves it there. The next basic block
    would then begin with conditional instructions, which set no flags and hold no branch. The IT block itself continues
    unchanged, as it was translated.
    """
    xpsr = int(uc.reg_read(arm.UC_ARM_REG_XPSR))
    if xpsr & _IT_STATE:
        uc.reg_write(arm.UC_ARM_REG_XPSR, xpsr & ~_IT_STATE)


class Core:
    """One Cortex-M7. `uc` maps memory, runs and hooks."""

    def __init__(self) -> None:
        # Not UC_MODE_MCLASS: with it, Unicorn 2.1.4 makes a Cortex-M33, whose FPU lacks double precision.
        uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB, cpu=arm.UC_CPU_ARM_CORTEX_M7)
        # Unicorn builds the core at its first call, `emu_stop` too: two threads that both call first abort the process
        # ("tcg.c:547 assertion failed"). So nobody sees it before this first call.
        uc.reg_read(arm.UC_ARM_REG_PC)
        self.uc = uc

    def register(self, number: int) -> int:
        """R0 to R12, SP (13), LR (14), PC (15)."""
        return int(self.uc.reg_read(_GENERAL[number]))

    def set_register(self, number: int, value: int) -> None:
        """Write one of these registers."""
        self.uc.reg_write(_GENERAL[number], value & 0xFFFF_FFFF)

    def registers(self, numbers: Sequence[int]) -> list[int]:
        """Several at once."""
        return [int(value) for value in self.uc.reg_read_batch([_GENERAL[n] for n in numbers])]

    def set_registers(self, values: Mapping[int, int]) -> None:
        """Several at once, by number."""
        self.uc.reg_write_batch([(_GENERAL[n], value & 0xFFFF_FFFF) for n, value in values.items()])

    @property
    def pc(self) -> int:
        return self.register(15)

    @property
    def sp(self) -> int:
        return self.register(13)

    @property
    def lr(self) -> int:
        return self.register(14)

    @property
    def xpsr(self) -> int:
        return int(self.uc.reg_read(arm.UC_ARM_REG_XPSR))

    @xpsr.setter
    def xpsr(self, value: int) -> None:
        self.uc.reg_write(arm.UC_ARM_REG_XPSR, value)

    def end_it_block(self) -> None:
        """`end_it_block` of this core."""
        end_it_block(self.uc)

    @property
    def is_thumb(self) -> bool:
        """EPSR.T; the core only executes Thumb code."""
        return bool(self.uc.reg_read(arm.UC_ARM_REG_CPSR) & 1 << 5)

    @property
    def control(self) -> int:
        return int(self.uc.reg_read(arm.UC_ARM_REG_CONTROL))

    @control.setter
    def control(self, value: int) -> None:
        self.uc.reg_write(arm.UC_ARM_REG_CONTROL, value)

    @property
    def primask(self) -> int:
        return int(self.uc.reg_read(arm.UC_ARM_REG_PRIMASK)) & 1

    @property
    def faultmask(self) -> int:
        return int(self.uc.reg_read(arm.UC_ARM_REG_FAULTMASK)) & 1

    @property
    def basepri(self) -> int:
        return int(self.uc.reg_read(arm.UC_ARM_REG_BASEPRI)) & 0xFF

    def clear_faultmask(self) -> None:
        """Clear FAULTMASK, as leaving an exception does."""
        self.uc.reg_write(arm.UC_ARM_REG_FAULTMASK, 0)

    def fpu_registers(self) -> list[int]:
        """S0 to S15 and FPSCR, which an exception saves."""
        return [int(value) for value in self.uc.reg_read_batch(_FPU_FRAME)]

    def set_fpu_registers(self, values: list[int]) -> None:
        """Write the same 17 values."""
        self.uc.reg_write_batch(list(zip(_FPU_FRAME, values, strict=True)))

    def words(self, address: int, count: int) -> list[int]:
        """Words of memory; the caller knows that they exist."""
        data = bytes(self.uc.mem_read(address, 4 * count))
        return [int.from_bytes(data[4 * n : 4 * n + 4], "little") for n in range(count)]

    def set_words(self, address: int, values: list[int]) -> None:
        """Write words of memory; the caller knows that they exist."""
        self.uc.mem_write(address, b"".join((value & 0xFFFF_FFFF).to_bytes(4, "little") for value in values))
