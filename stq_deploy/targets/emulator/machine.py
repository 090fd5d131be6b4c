"""The emulated microcontroller: runs the core, and adds what Unicorn lacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from unicorn import (
    UC_CTL_IO_WRITE,
    UC_CTL_TLB_FLUSH,
    UC_ERR_EXCEPTION,
    UC_ERR_FETCH_PROT,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_WRITE,
    UC_HOOK_TLB_FILL,
    UC_MEM_FETCH_PROT,
    UC_TLB_VIRTUAL,
    Uc,
    UcError,
)

from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator import exceptions as ex
from stq_deploy.targets.emulator.access_faults import BadAccess, execute_never, explain_access, is_execute_never
from stq_deploy.targets.emulator.backends import Mode
from stq_deploy.targets.emulator.bus import Repetition
from stq_deploy.targets.emulator.checked_instructions import CheckedInstructions
from stq_deploy.targets.emulator.core import Core
from stq_deploy.targets.emulator.counting import InstructionCounter
from stq_deploy.targets.emulator.instructions import WFE, WFI, YIELD, accessed_address, is_wide
from stq_deploy.targets.emulator.memory import Memories
from stq_deploy.targets.emulator.peripherals.rcc import RESET_BY_POWER, RESET_BY_SOFTWARE, RESET_BY_WATCHDOG
from stq_deploy.targets.emulator.peripherals.scb import HFSR_DEBUG_EVENT
from stq_deploy.targets.emulator.peripherals.usart import Wire
from stq_deploy.targets.emulator.program import LoadedElf
from stq_deploy.targets.emulator.refusals import (
    EmulatorRefusal,
    HardwareFault,
    Misuse,
    NotModelled,
    ResetRequest,
    Stopping,
    WatchdogReset,
)
from stq_deploy.targets.emulator.stm32h743 import FLASH_ORIGIN, PERIPHERAL_SPACE, Chip, Signals, build_chip

_SLEEP_SLICE_SECONDS = 0.5
# A stop address that no instruction has. Unicorn looks it up each time it stops, so it must be executable.
_NEVER = FLASH_ORIGIN | 1
# Numbers of QEMU's Arm exceptions, as Unicorn reports them.
_SVC, _PREFETCH_ABORT, _DATA_ABORT, _BKPT, _EXCEPTION_EXIT = 2, 3, 4, 7, 8


@dataclass
class _Stop:
    """Why the core has stopped; a new one for each time it starts to run.

    Attributes:
        trouble: what `run` must react to; None for an ordinary stop.
        trouble_pc: address of the instruction with the trouble; 0 if the PC is that address.
        paused: a hook stopped the core, so that the instruction before the PC did not.
        before_access: the pause came with an access to a peripheral, which the core has not yet repeated.
        exception: number of Unicorn's exception; None without one.
        bad_access: the first access that no memory took.
    """

    trouble: Exception | None = None
    trouble_pc: int = 0
    paused: bool = False
    before_access: bool = False
    exception: int | None = None
    bad_access: BadAccess | None = None


class Machine:
    """A board with its core, memories and peripherals; `run` runs it to its end.

    `run` belongs to one thread. `bytes_arrived`, `wants_nudge`, `nudge`, `watch` and `stop` may be called from another.

    Args:
        mode: "counting" counts instructions and checks every access; "fast" runs at full speed and checks less.
        revision: silicon revision, a letter.
        wire: the serial line.
        refused: called with every refusal.
        watchdog_speed: factor by which the watchdog's oscillator is too fast, for tests of hanging programs.
    """

    def __init__(
        self,
        program: LoadedElf,
        board: Board,
        *,
        mode: Mode,
        revision: str,
        wire: Wire,
        refused: Callable[[EmulatorRefusal], None],
        watchdog_speed: float = 1.0,
    ) -> None:
        self._program = program
        self._board = board
        self._mode = mode
        self._revision = revision
        self._wire = wire
        self._refused = refused
        self._memories = Memories(board.memory, program)
        self._instructions = program.instructions()
        self._stopping = False
        self._awake = threading.Event()
        self._asleep = False
        self.resets = 0
        self._watchdog_speed = watchdog_speed
        self._slept = 0.0
        self._processor_clock: int | None = None
        self._counter: InstructionCounter | None = None
        self._start(RESET_BY_POWER)

    def run(self) -> EmulatorRefusal | None:
        """Run until `stop` is called (None), or until the program cannot continue."""
        if hasattr(time, "pthread_getcpuclockid"):
            self._processor_clock = time.pthread_getcpuclockid(threading.get_ident())
        while not self._stopping:
            try:
                self._run_until_stop()
            except WatchdogReset:
                self.resets += 1
                self._wire.inbox.clear()
                self._start(self._chip.rcc.reset_flags | RESET_BY_WATCHDOG)
            except ResetRequest:
                self.resets += 1
                self._wire.inbox.clear()
                self._start(self._chip.rcc.reset_flags | RESET_BY_SOFTWARE)
            except HardwareFault as fault:
                end = self._take_fault(fault)
                if end is not None:
                    return end
            except Stopping as end_of_life:
                return self._describe(end_of_life, self._stop.trouble_pc or self._core.pc)
        return None

    def bytes_arrived(self) -> None:
        """The host has sent bytes: wake the core if it sleeps."""
        self._awake.set()

    @property
    def wants_nudge(self) -> bool:
        """Whether bytes wait for an interrupt that a busy core has not noticed, and could be made to."""
        if self._counter is None:
            return False
        return not self._asleep and self._chip.usart.interrupts_on_arrival and self._chip.usart.has_arrivals

    def nudge(self) -> None:
        """Interrupt a busy core, so that it takes its receive interrupt in the middle of a computation.

        Only in counting mode, whose hook stops before a basic block. A stop from another thread may leave an
        instruction between its two loads, and Unicorn executes it again. An LDRD or LDM into its own base register then
        reads through the value it has just loaded.
        """
        if self._counter is not None:
            self._counter.attention = True

    def watch(self) -> None:
        """Let the watchdog reset the chip if its time is up; call it regularly."""
        if self._chip.watchdog.expired:
            self._awake.set()
            self._core.uc.emu_stop()

    def stop(self) -> None:
        """End `run`. Call it again until `run` has ended."""
        self._stopping = True
        self._awake.set()
        self._core.uc.emu_stop()

    def _start(self, reset_flags: int) -> None:
        """Reset everything except the memories' contents."""
        self._core = Core()
        uc = self._core.uc
        self._chip: Chip = build_chip(
            self._board,
            self._revision,
            self._wire,
            Signals(
                self._interrupts_changed, self._protection_changed, self._fpu_enabled, self._executed, self._seconds
            ),
            reset_flags,
        )
        self._deferred: list[Callable[[], None]] = []
        self._stop = _Stop()
        self._access_pc = 0
        self._suspended: Repetition = None
        self._hint_passed = 0
        uc.ctl_set_tlb_mode(UC_TLB_VIRTUAL)
        uc.hook_add(UC_HOOK_TLB_FILL, self._memories.translate)
        self._memories.map_into(uc)
        self._protection_changed()  # some memories have no clock yet
        for base, size in PERIPHERAL_SPACE:
            uc.mmio_map(base, size, self._load, base, self._store, base)
        uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        self._access_hooks: list[int] = []
        self._watch_bad_accesses()
        self._counter = InstructionCounter(uc) if self._mode == "counting" else None
        if self._counter is not None:
            for base, size in PERIPHERAL_SPACE:
                uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._before_peripheral, None, base, base + size - 1)
        self._exceptions = ex.Exceptions(self._core, self._chip.scb, self._chip.nvic, self._stack_problem)
        self._checked = CheckedInstructions(
            self._core,
            self._instructions,
            divisions_trap=lambda: self._chip.scb.divisions_trap,
            stop=self._stop_here,
            unmasked=self._unmasked,
        )
        stack_top, reset_handler = self._core.words(FLASH_ORIGIN, 2)
        if not reset_handler & 1 or self._memories.at(reset_handler & ~1) is None:
            self._stop_here(
                Misuse(
                    f"the reset vector holds 0x{reset_handler:08X}",
                    "the vector table must lie at the beginning of flash",
                )
            )
        self._core.set_register(13, stack_top & ~3)
        self._core.set_register(14, 0xFFFF_FFFF)
        self._core.set_register(15, reset_handler & ~1)

    def _run_until_stop(self) -> None:
        for action in self._deferred:
            action()
        self._deferred.clear()
        if self._chip.watchdog.expired:
            raise WatchdogReset
        self._checked.drop_trusted()
        if self._stop.trouble is None:
            if self._exceptions.take_interrupt():
                self._suspended = self._chip.bus.suspend()
            self._emulate()
        stop = self._stop
        if stop.trouble is not None:
            trouble, stop.trouble = stop.trouble, None
            raise trouble
        if stop.exception is not None:
            self._on_exception(stop.exception)
        elif stop.before_access:
            self._chip.bus.stopped_before_access(self._next_accessed())
        elif self._counter is not None and self._counter.stopped_for_attention:
            self._counter.stopped_for_attention = False
            self._chip.usart.arrive()
        elif not stop.paused and self._halfword(self._core.pc - 2) == WFI:
            self._sleep()

    def _emulate(self) -> None:
        """Run until something stops the core."""
        core, counter = self._core, self._counter
        self._stop = _Stop()
        if counter is not None:
            counter.in_handler = self._exceptions.in_handler
        try:
            core.uc.emu_start(core.pc | 1, _NEVER)
        except UcError as error:
            if error.errno == UC_ERR_EXCEPTION and is_execute_never(core.pc):
                self._stop.exception = _PREFETCH_ABORT
            elif self._stop.trouble is None:
                self._stop.trouble = self._explain(error)
        if counter is not None:
            counter.stopped(core.pc)

    def _sleep(self) -> None:
        """WFI: sleep until an interrupt or SysTick is pending, even if it is masked, or the watchdog resets."""
        self._asleep = True
        self._checked.renew_translations()
        systick = self._chip.systick
        try:
            while not self._stopping and not self._chip.watchdog.expired:
                self._awake.clear()
                self._chip.usart.arrive()
                if self._chip.nvic.pending() is not None:
                    return
                slice_ = systick.sleep_seconds
                began = time.monotonic()
                woken = self._awake.wait(_SLEEP_SLICE_SECONDS if slice_ is None else slice_)
                # At most the time asked for: a host that slept, too, must not look like a hanging firmware.
                self._slept += min(time.monotonic() - began, _SLEEP_SLICE_SECONDS if slice_ is None else slice_)
                if not woken and slice_ is not None:
                    systick.pending = True
                    return
        finally:
            self._asleep = False

    # Reports of peripherals

    def _interrupts_changed(self) -> None:
        if self._exceptions.due_interrupt is not None:
            self._pause_by_access()

    def _protection_changed(self) -> None:
        if self._memories.set_rights(self._chip.mpu, self._chip.memory_is_clocked):
            self._deferred.append(self._apply_rights)
            self._pause_by_access()

    def _apply_rights(self) -> None:
        self._memories.apply_rights(self._core.uc)
        self._core.uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)  # stores skip the rights where an earlier one has passed
        self._watch_bad_accesses()

    def _watch_bad_accesses(self) -> None:
        """Let Unicorn report the accesses that it refuses. Not to be called while the core runs.

        Where such a hook watches, Unicorn takes a slow path for every store. Memory that can be read and written has
        none, so an inference takes half the time. There, only an execution can be refused, and PC tells where.
        """
        uc = self._core.uc
        for hook in self._access_hooks:
            uc.hook_del(hook)
        self._access_hooks = [
            uc.hook_add(UC_HOOK_MEM_INVALID, self._on_bad_access, None, first, last)
            for first, last in self._memories.restricted()
        ]

    def _fpu_enabled(self, enabled: bool) -> None:
        if enabled == self._checked.watches_fpu:
            self._deferred.append(lambda: self._checked.watch_fpu(not enabled))
            self._pause_by_access()

    def _executed(self) -> int:
        return self._counter.executed_before(self._access_pc) if self._counter is not None else 0

    def _seconds(self) -> float:
        """Time for peripherals with their own oscillator.

        While the core runs, this is its instructions at one per cycle, where they are counted. Otherwise it is the
        processor time that this computer has spent on it, whatever its load. While the core sleeps, it is the time
        slept.
        """
        if self._counter is not None:
            ran = (self._counter.program + self._counter.handlers) / self._chip.rcc.core_hz
        elif self._processor_clock is not None:
            ran = time.clock_gettime(self._processor_clock)
        else:
            ran = 0.0 if hasattr(time, "pthread_getcpuclockid") else time.monotonic()
        return (ran + self._slept) * self._watchdog_speed

    def _pause(self) -> None:
        self._stop.paused = True
        self._core.uc.emu_stop()

    def _pause_by_access(self) -> None:
        self._stop.before_access = True
        self._pause()

    def _unmasked(self) -> None:
        if self._chip.systick.interrupts_when_unmasked:
            self._stop_here(
                NotModelled("interrupts are unmasked while SysTick runs", "only its end of a masked sleep is emulated")
            )
        if self._exceptions.due_interrupt is not None:
            self._pause()

    def _stop_here(self, trouble: Exception | None) -> None:
        if self._stop.trouble is None and trouble is not None:
            self._stop.trouble = trouble
            self._stop.trouble_pc = self._core.pc
        self._pause()

    # Unicorn's hooks

    def _load(self, _uc: Uc, offset: int, size: int, base: int) -> int:
        try:
            return self._chip.bus.load(base + offset, size)
        except Exception as error:
            self._peripheral_trouble(error)
            return 0

    def _store(self, _uc: Uc, offset: int, size: int, value: int, base: int) -> None:
        try:
            self._chip.bus.store(base + offset, size, value)
        except Exception as error:
            self._peripheral_trouble(error)

    def _peripheral_trouble(self, error: Exception) -> None:
        if self._stop.trouble is None:
            self._stop.trouble = error
            self._stop.trouble_pc = self._access_pc
        self._pause()

    def _before_peripheral(self, _uc: Uc, _kind: int, address: int, size: int, _value: int, _data: object) -> None:
        self._access_pc = self._core.pc
        self._core.end_it_block()
        if address % size:
            self._stop_here(
                HardwareFault(
                    f"{size} bytes of a peripheral are accessed at 0x{address:08X}",
                    "peripherals are device memory, where every access must be aligned",
                    exception=ex.USAGE_FAULT,
                    status=ex.UNALIGNED,
                )
            )

    def _on_interrupt(self, uc: Uc, number: int, _data: object) -> None:
        self._stop.exception = number
        uc.emu_stop()

    def _on_bad_access(self, _uc: Uc, kind: int, address: int, _size: int, _value: int, _data: object) -> bool:
        if self._stop.bad_access is None:
            self._stop.bad_access = BadAccess(kind, address, self._core.pc)
        return False

    # What stopped the core

    def _on_exception(self, number: int) -> None:
        core, pc = self._core, self._core.pc
        if pc >= ex.EXC_RETURN_MINIMUM and number in (_PREFETCH_ABORT, _EXCEPTION_EXIT):
            self._exceptions.leave(pc | 1)
            if not self._exceptions.in_handler:
                self._chip.bus.resume(self._suspended)
                self._suspended = None
        elif number == _SVC:
            self._exceptions.call_supervisor()
        elif number == _BKPT:
            raise HardwareFault(
                "a break point (BKPT)",
                "no debugger is attached",
                exception=ex.HARD_FAULT,
                status=HFSR_DEBUG_EVENT,
            )
        elif number == _PREFETCH_ABORT and is_execute_never(pc):
            raise execute_never(pc)
        elif number == _DATA_ABORT:
            raise HardwareFault(
                "an exclusive load or store has an unaligned address",
                "LDREX, STREX and their kin need natural alignment",
                exception=ex.USAGE_FAULT,
                status=ex.UNALIGNED,
            )
        else:
            raise NotModelled(f"Unicorn reports its exception {number}", f"nothing is known of it (LR 0x{core.lr:08X})")

    def _explain(self, error: UcError) -> Exception | None:
        """The hardware's reason for Unicorn's stop; None for a hint instruction."""
        core, bad = self._core, self._stop.bad_access
        pc = core.pc
        if bad is None and error.errno == UC_ERR_FETCH_PROT:
            bad = BadAccess(UC_MEM_FETCH_PROT, pc, pc)
        if bad is not None:
            self._stop.trouble_pc = bad.pc
            return explain_access(bad, self._memories.at(bad.address), self._chip)
        if not core.is_thumb:
            return HardwareFault(
                f"a jump to 0x{pc:08X} leaves Thumb state",
                "the lowest bit of a branch target in a register must be 1",
                exception=ex.USAGE_FAULT,
                status=ex.INVALID_STATE,
            )
        if self._halfword(pc - 2) in (WFE, YIELD) and self._hint_passed != pc:
            self._hint_passed = pc  # Unicorn stops after these two as if they were invalid
            self._stop.paused = True
            return None
        return HardwareFault(
            f"0x{self._halfword(pc):04X} is executed",
            f"it is not an instruction of this core ({error})",
            exception=ex.USAGE_FAULT,
            status=ex.UNDEFINED,
        )

    def _take_fault(self, fault: HardwareFault) -> EmulatorRefusal | None:
        """Enter the program's handler; a refusal if that is impossible."""
        pc, return_address = self._stop.trouble_pc or self._core.pc, self._core.pc
        refusal = self._describe(fault, pc)
        if fault.status & ex.IMPRECISE and return_address == pc:
            return_address += 4 if is_wide(self._halfword(pc)) else 2
        try:
            entered = self._exceptions.fault(fault, return_address)
        except Stopping as end:
            return EmulatorRefusal(f"{refusal.what}: {end.what}", end.why, pc, refusal.function, refusal.caller)
        self._refused(EmulatorRefusal(refusal.what, refusal.why, pc, refusal.function, refusal.caller, entered))
        return None

    def _stack_problem(self, address: int, size: int) -> int:
        for at in (address, address + size - 4):
            if not self._chip.mpu.rights(at).write:
                return ex.MEM_MANAGE_STACKING
            memory = self._memories.at(at)
            if memory is None or memory.kind == "flash" or not self._chip.memory_is_clocked(at):
                return ex.BUS_STACKING
        return 0

    def _describe(self, trouble: HardwareFault | Stopping, pc: int) -> EmulatorRefusal:
        caller = self._program.function_at((self._core.lr & ~1) - 2)
        return EmulatorRefusal(trouble.what, trouble.why, pc, self._program.function_at(pc), caller)

    def _next_accessed(self) -> int | None:
        """The address that the instruction at PC loads or stores."""
        pc = self._core.pc
        return accessed_address(self._halfword(pc), self._halfword(pc + 2), self._core.register)

    def _halfword(self, address: int) -> int:
        if self._memories.at(address) is None or self._memories.at(address + 1) is None:
            return 0
        return int.from_bytes(bytes(self._core.uc.mem_read(address, 2)), "little")
