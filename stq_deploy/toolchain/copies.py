"""Whether a copy of code or constants in faster memory is worth its RAM.

A copy saves the waits for flash. A cache saves most of them, too: a part that fits it is read from flash once by each
layer that uses it. So a copy gains most where a part is larger than the cache and read again and again, or where there
is no cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stq_deploy.program import RAM_PER_TIME, Program
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.parts import Part

_WORD_BYTES = 4


@dataclass(frozen=True)
class CopyRule:
    """When a copy pays.

    Attributes:
        board: whose caches and waits count.
        cycles: estimated, of one inference.
        copies_all: whether every copy that has room is made, because kernels were chosen for speed.
    """

    board: Board
    cycles: int
    copies_all: bool

    def pays(self, parts: Sequence[Part], ram_bytes: int) -> bool:
        """Whether a copy of these parts together is made.

        Args:
            ram_bytes: of the firmware without copies.
        """
        size = sum(part.bytes for part in parts)
        if self.copies_all or size == 0:
            return True
        saved = sum(saved_cycles(part, self.board) for part in parts)
        return RAM_PER_TIME * saved * ram_bytes >= size * self.cycles


def copy_rule(program: Program, board: Board) -> CopyRule:
    """The rule for a program: with kernels chosen for speed, RAM does not count."""
    return CopyRule(board, program.estimated_cycles, program.optimize == "speed")


def saved_cycles(part: Part, board: Board) -> float:
    """Estimated cycles of an inference that a copy of code or constants saves; infinite if the board does not say."""
    miss = board.memory_named(board.placement.code).miss_cycles
    timing = board.timing
    cache = timing.instruction_cache if part.group == "kernels" else timing.data_cache
    if miss is None:
        return math.inf
    if cache is None:
        return part.accesses / _WORD_BYTES * miss
    times = part.uses if part.bytes <= cache.bytes else max(part.uses, part.density)
    return -(-part.bytes // cache.line_bytes) * times * miss
