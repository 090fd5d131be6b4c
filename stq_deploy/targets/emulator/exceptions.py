"""Exception entry and return: ARMv7-M ARM B1.5. Unicorn has none of this for the M profile.

Exact are frames (basic and with FPU registers, saved at once rather than lazily), EXC_RETURN, stack alignment,
escalation to HardFault, and lock-up. Interrupts do not nest, and the process stack is refused.
"""

from __future__ import annotations

from collections.abc import Callable

from stq_deploy.targets.emulator.core import EXCEPTION_MASK, FPU_ACTIVE, PROCESS_STACK, UNPRIVILEGED, Core
from stq_deploy.targets.emulator.peripherals.nvic import FIRST_INTERRUPT, Nvic
from stq_deploy.targets.emulator.peripherals.scb import HFSR_FORCED, Scb
from stq_deploy.targets.emulator.refusals import HardwareFault, Misuse, NotModelled

HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT, SV_CALL = 3, 4, 5, 6, 11
NAMES = {HARD_FAULT: "HardFault", MEM_MANAGE: "MemManage", BUS_FAULT: "BusFault", USAGE_FAULT: "UsageFault"}

# CFSR
INSTRUCTION_ACCESS_VIOLATION, DATA_ACCESS_VIOLATION, MEM_MANAGE_STACKING, MMFAR_VALID = (
    1 << 0,
    1 << 1,
    1 << 4,
    1 << 7,
)
INSTRUCTION_BUS, PRECISE, IMPRECISE, BUS_STACKING, BFAR_VALID = 1 << 8, 1 << 9, 1 << 10, 1 << 12, 1 << 15
UNDEFINED, INVALID_STATE, INVALID_PC, NO_COPROCESSOR = 1 << 16, 1 << 17, 1 << 18, 1 << 19
UNALIGNED, DIVISION_BY_ZERO = 1 << 24, 1 << 25

STATUS_NAMES = {
    INSTRUCTION_ACCESS_VIOLATION: "IACCVIOL",
    DATA_ACCESS_VIOLATION: "DACCVIOL",
    MEM_MANAGE_STACKING: "MSTKERR",
    INSTRUCTION_BUS: "IBUSERR",
    PRECISE: "PRECISERR",
    IMPRECISE: "IMPRECISERR",
    BUS_STACKING: "STKERR",
    UNDEFINED: "UNDEFINSTR",
    INVALID_STATE: "INVSTATE",
    INVALID_PC: "INVPC",
    NO_COPROCESSOR: "NOCP",
    UNALIGNED: "UNALIGNED",
    DIVISION_BY_ZERO: "DIVBYZERO",
}

_THREAD_PRIORITY = 256
_THUMB, _STACK_WAS_ALIGNED = 1 << 24, 1 << 9
_BASIC_WORDS, _FPU_WORDS = 8, 18
_STACKED = (0, 1, 2, 3, 12, 14, 15)  # then xPSR
EXC_RETURN_MINIMUM = 0xF000_0000


class Exceptions:
    """The active exceptions, and the core's entry to and return from them.

    Args:
        stack_problem: for an address range, the CFSR bit that pushing there would set; 0 if it can be written.
    """

    def __init__(self, core: Core, scb: Scb, nvic: Nvic, stack_problem: Callable[[int, int], int]) -> None:
        self._core = core
        self._scb = scb
        self._nvic = nvic
        self._stack_problem = stack_problem
        self._active: list[int] = []
        scb.on_read["ICSR"] = lambda: self._active[-1] if self._active else 0

    @property
    def in_handler(self) -> bool:
        """Whether an exception handler runs."""
        return bool(self._active)

    @property
    def due_interrupt(self) -> int | None:
        """Exception number of the interrupt to take now: pending and not masked."""
        if self._active:
            return None
        number = self._nvic.pending()
        return number if number is not None and self._priority(number) < self._execution_priority() else None

    def take_interrupt(self) -> bool:
        """Enter the handler of the interrupt that is due; False if none is."""
        number = self.due_interrupt
        if number is None:
            return False
        self._enter(number, self._core.pc)
        return True

    def call_supervisor(self) -> None:
        """SVC has been executed.

        Raises:
            HardwareFault: it is masked.
        """
        if self._priority(SV_CALL) >= self._execution_priority():
            raise HardwareFault(
                "SVC at a priority that masks it",
                "SVCall must be able to start at once",
                exception=HARD_FAULT,
                status=HFSR_FORCED,
            )
        self._enter(SV_CALL, self._core.pc)

    def fault(self, fault: HardwareFault, pc: int) -> str:
        """Enter the handler of a fault at `pc`.

        Returns:
            the exception entered and its cause, in the manual's words.

        Raises:
            Misuse: the core locks up.
        """
        status = fault.status
        if fault.exception == HARD_FAULT:
            self._enter_hard_fault(status, fault.what, pc)
            return NAMES[HARD_FAULT]
        self._scb.add_status("CFSR", status)
        if status & BFAR_VALID:
            self._scb.values["BFAR"] = fault.address
        if status & MMFAR_VALID:
            self._scb.values["MMFAR"] = fault.address
        names = " ".join(name for bit, name in STATUS_NAMES.items() if status & bit)
        if self._can_take(fault.exception):
            self._enter(fault.exception, pc)
            return f"{NAMES[fault.exception]} ({names})"
        self._enter_hard_fault(HFSR_FORCED, fault.what, pc)
        return f"HardFault (FORCED, {names})"

    def leave(self, exc_return: int) -> None:
        """Return from the active exception: `exc_return` has been loaded into the PC.

        Raises:
            Misuse: the core does not know the value, or no exception is active.
        """
        to_handler = exc_return & 0xF == 0x1
        valid = exc_return | 0x1 in (0xFFFF_FFF1, 0xFFFF_FFF9, 0xFFFF_FFE1, 0xFFFF_FFE9)
        if not valid or not self._active or to_handler != (len(self._active) > 1):
            raise Misuse(
                f"EXC_RETURN 0x{exc_return:08X} is loaded into PC",
                "no such return is possible now; on the chip this is a UsageFault (INVPC)",
            )
        core = self._core
        sp = core.sp
        has_fpu_frame = not exc_return & 0x10
        words = _BASIC_WORDS + (_FPU_WORDS if has_fpu_frame else 0)
        if self._stack_problem(sp, 4 * words):
            raise Misuse(
                f"an exception returns with the stack pointer at 0x{sp:08X}",
                "no frame can be there; on the chip this is a BusFault or MemManage (UNSTKERR)",
            )
        frame = core.words(sp, words)
        left = self._active.pop()
        if left != 2:  # all but NMI
            core.clear_faultmask()
        xpsr = frame[7]
        if has_fpu_frame:
            core.set_fpu_registers(frame[8:25])
        core.control = core.control & ~FPU_ACTIVE | (FPU_ACTIVE if has_fpu_frame else 0)
        core.xpsr = xpsr & ~(_STACK_WAS_ALIGNED | EXCEPTION_MASK) | (self._active[-1] if self._active else 0)
        sp += 4 * len(frame) + (4 if xpsr & _STACK_WAS_ALIGNED else 0)
        core.set_registers({**dict(zip(_STACKED, frame, strict=False)), 13: sp})

    def _priority(self, number: int) -> int:
        if number == HARD_FAULT:
            return -1
        if number >= FIRST_INTERRUPT:
            return self._nvic.priority(number - FIRST_INTERRUPT)
        register = self._scb.values[f"SHPR{number // 4}"]
        return register >> 8 * (number % 4) & 0xFF

    def _execution_priority(self) -> int:
        core = self._core
        levels = [_THREAD_PRIORITY, *(self._priority(number) for number in self._active)]
        if core.basepri:
            levels.append(core.basepri)
        if core.primask:
            levels.append(0)
        if core.faultmask:
            levels.append(-1)
        return min(levels)

    def _can_take(self, number: int) -> bool:
        enabled = self._scb.values["SHCSR"] >> 16 + number - MEM_MANAGE & 1
        return bool(enabled) and self._priority(number) < self._execution_priority()

    def _enter_hard_fault(self, status: int, what: str, pc: int) -> None:
        self._scb.add_status("HFSR", status)
        if self._execution_priority() <= -1:
            raise Misuse("the core locks up", f"a fault inside the HardFault handler ({what}) leaves it nowhere to go")
        self._enter(HARD_FAULT, pc)

    def _enter(self, number: int, return_address: int) -> None:
        core = self._core
        if core.control & (PROCESS_STACK | UNPRIVILEGED):
            raise NotModelled(
                "the program uses the process stack or unprivileged mode", "exceptions there are not emulated"
            )
        has_fpu_frame = bool(core.control & FPU_ACTIVE)
        xpsr = core.xpsr
        *stacked, sp = core.registers((*_STACKED[:-1], 13))
        frame = [*stacked, return_address, xpsr & ~_STACK_WAS_ALIGNED | (_STACK_WAS_ALIGNED if sp & 4 else 0)]
        if has_fpu_frame:
            frame += [*core.fpu_registers(), 0]
            core.control &= ~FPU_ACTIVE
        sp = (sp - 4 * len(frame)) & ~7 & 0xFFFF_FFFF
        problem = self._stack_problem(sp, 4 * len(frame))
        if problem:
            self._scb.add_status("CFSR", problem)
            number = self._with_stacking_fault(number, problem)
        else:
            core.set_words(sp, frame)
        exc_return = 0xFFFF_FFF1 if self._active else 0xFFFF_FFF9
        handler = self._handler(number)
        self._active.append(number)
        core.xpsr = xpsr & 0xF80F_0000 | _THUMB | number  # flags stay, IT and ICI bits do not
        core.set_registers({13: sp, 14: exc_return & ~0x10 if has_fpu_frame else exc_return, 15: handler & ~1})

    def _with_stacking_fault(self, number: int, problem: int) -> int:
        """The exception to enter when pushing for `number` has failed (B1.5.8, derived exceptions)."""
        derived = MEM_MANAGE if problem == MEM_MANAGE_STACKING else BUS_FAULT
        if number == HARD_FAULT:
            return HARD_FAULT
        if not self._can_take(derived):
            self._scb.add_status("HFSR", HFSR_FORCED)
            return HARD_FAULT
        return min((self._priority(n), n) for n in (number, derived))[1]

    def _handler(self, number: int) -> int:
        handler = self._core.words(self._scb.vector_table + 4 * number, 1)[0]
        if not handler & 1:
            raise Misuse(
                f"vector {number} holds 0x{handler:08X}",
                "a handler's address must be odd (Thumb); on the chip entering it is a UsageFault (INVSTATE)",
            )
        return handler
