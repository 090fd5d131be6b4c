"""Instructions whose operands the chip checks and Unicorn does not; each has its own hook.

- loads and stores of several words, which fault on unaligned addresses;
- divisions, which fault on zero if CCR.DIV_0_TRP is set;
- any FPU instruction before CPACR has enabled the FPU.

A hook costs a hundred times the instruction. So after `TRUSTED_AFTER` correct executions a place is trusted and its
hook removed. Unicorn cannot stop inside an IT block. A conditional instruction is therefore checked only if it is its
block's first, and then at the start of the block.
"""

from __future__ import annotations

from collections.abc import Callable

from unicorn import UC_HOOK_CODE

from stq_deploy.targets.emulator.core import Core
from stq_deploy.targets.emulator.exceptions import DIVISION_BY_ZERO, NO_COPROCESSOR, UNALIGNED, USAGE_FAULT
from stq_deploy.targets.emulator.instructions import (
    ALWAYS,
    Division,
    Instruction,
    WordAccess,
    condition_holds,
    division,
    is_wide,
    unmasks_interrupts,
    uses_fpu,
    word_access,
)
from stq_deploy.targets.emulator.refusals import HardwareFault

TRUSTED_AFTER = 64


class CheckedInstructions:
    """Hooks on one core.

    Args:
        instructions: all of the program's.
        divisions_trap: whether a division by zero faults now.
        stop: stops the core before the hooked instruction; with an exception to raise, or None to continue.
        unmasked: called before the instruction that follows one that may unmask interrupts.
    """

    def __init__(
        self,
        core: Core,
        instructions: list[Instruction],
        *,
        divisions_trap: Callable[[], bool],
        stop: Callable[[Exception | None], None],
        unmasked: Callable[[], None],
    ) -> None:
        self._core = core
        self._divisions_trap = divisions_trap
        self._stop = stop
        self._trusted: list[int] = []
        self._translations_are_stale = False
        self._fpu_users: list[int] = []
        self._fpu_hooks: list[int] = []
        before: Instruction | None = None
        for instruction in instructions:
            first, second = instruction.first, instruction.second
            operation = word_access(first, second) or division(first, second)
            place = self._place(instruction, before)
            if operation is not None and place is not None:
                self._hook_operation(place, instruction.condition, operation)
            if is_wide(first) and uses_fpu(first, second) and place is not None:
                self._fpu_users.append(place)
            if unmasks_interrupts(first, second):
                self._hook(instruction.end, unmasked)
            before = instruction
        self.watch_fpu(True)

    @property
    def watches_fpu(self) -> bool:
        """Whether FPU instructions are refused."""
        return self._watches_fpu

    def watch_fpu(self, watch: bool) -> None:
        """Refuse FPU instructions, or let them pass. Not to be called while the core runs."""
        self._watches_fpu = watch
        for hook in self._fpu_hooks:
            self._core.uc.hook_del(hook)
        self._fpu_hooks = [self._hook(place, self._refuse_fpu) for place in self._fpu_users] if watch else []

    def drop_trusted(self) -> None:
        """Remove the hooks of trusted places. Not to be called while the core runs."""
        for hook in self._trusted:
            self._core.uc.hook_del(hook)
        self._translations_are_stale |= bool(self._trusted)
        self._trusted.clear()

    def renew_translations(self) -> None:
        """Let Unicorn translate anew the code that it translated with hooks since removed. Not while the core runs.

        The old translation calls Unicorn at each trusted place, only to find no hook: an inference takes twice as long.
        """
        if self._translations_are_stale:
            self._core.uc.ctl_flush_tb()
            self._translations_are_stale = False

    def _hook(self, address: int, action: Callable[[], None]) -> int:
        return int(self._core.uc.hook_add(UC_HOOK_CODE, lambda uc, at, size, data: action(), None, address, address))

    @staticmethod
    def _place(instruction: Instruction, before: Instruction | None) -> int | None:
        """The address at which to hook an instruction; None in the middle of an IT block."""
        if instruction.condition == ALWAYS:
            return instruction.address
        return before.address if before is not None and before.condition == ALWAYS else None

    def _hook_operation(self, place: int, condition: int, operation: WordAccess | Division) -> None:
        seen = 0

        def check() -> None:
            nonlocal seen
            seen += 1
            if condition_holds(condition, self._core.xpsr):
                self._check(operation)
            if seen == TRUSTED_AFTER:
                self._trusted.append(hook)
                self._stop(None)

        hook = self._hook(place, check)

    def _check(self, operation: WordAccess | Division) -> None:
        if isinstance(operation, Division):
            if self._divisions_trap() and self._core.register(operation.divisor) == 0:
                self._stop(
                    HardwareFault(
                        "a division by zero",
                        "SCB_CCR.DIV_0_TRP is set",
                        exception=USAGE_FAULT,
                        status=DIVISION_BY_ZERO,
                    )
                )
            return
        address = operation.address(self._core.register)
        if address & 3:
            self._stop(
                HardwareFault(
                    f"several words are loaded or stored at 0x{address:08X}",
                    "LDM, STM, LDRD, STRD and their FPU kin need an address divisible by 4",
                    exception=USAGE_FAULT,
                    status=UNALIGNED,
                )
            )

    def _refuse_fpu(self) -> None:
        self._stop(
            HardwareFault(
                "an FPU instruction is executed while the FPU is off",
                "SCB_CPACR must give full access to CP10 and CP11 first, followed by DSB and ISB",
                exception=USAGE_FAULT,
                status=NO_COPROCESSOR,
            )
        )
