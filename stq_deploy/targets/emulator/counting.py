"""Exact counts of executed instructions: a basic block's instructions are counted once and added whenever it runs.

An instruction inside an IT block whose condition fails counts too, because the core issues it. QEMU counts it as well.
"""

from __future__ import annotations

from unicorn import UC_HOOK_BLOCK, Uc

from stq_deploy.targets.emulator.instructions import count_instructions


class InstructionCounter:
    """Counts the instructions of the program, and separately those of exception handlers.

    Attributes:
        program: instructions executed outside of exception handlers.
        handlers: instructions executed in them.
        in_handler: which of the two is counting now.
        attention: set by another thread to stop the core before its next block.
        stopped_for_attention: whether that caused the latest stop.
    """

    def __init__(self, uc: Uc) -> None:
        self._uc = uc
        self._sizes: dict[tuple[int, int], int] = {}
        self._block = (0, 0)
        self.program = 0
        self.handlers = 0
        self.in_handler = False
        self.attention = False
        self.stopped_for_attention = False
        uc.hook_add(UC_HOOK_BLOCK, self._on_block)

    def executed_before(self, pc: int) -> int:
        """Instructions of the program executed before the one at `pc`, which is in the block that runs."""
        return self.program - (0 if self.in_handler else self._not_executed(pc))

    def stopped(self, pc: int) -> None:
        """The core has stopped before executing `pc`: subtract the rest of the block."""
        surplus = self._not_executed(pc)
        self._block = (0, 0)
        if self.in_handler:
            self.handlers -= surplus
        else:
            self.program -= surplus

    def _not_executed(self, pc: int) -> int:
        start, end = self._block
        return self._count(pc, end - pc) if start <= pc < end else 0

    def _on_block(self, uc: Uc, address: int, size: int, _data: object) -> None:
        count = self._sizes.get((address, size))
        if count is None:
            count = self._sizes[address, size] = self._count(address, size)
        self._block = (address, address + size)
        if self.in_handler:
            self.handlers += count
        else:
            self.program += count
        if self.attention:
            self.attention = False
            self.stopped_for_attention = True
            uc.emu_stop()

    def _count(self, address: int, size: int) -> int:
        return count_instructions(bytes(self._uc.mem_read(address, size)))
