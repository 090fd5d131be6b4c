"""Whether the arena holds the kernels' scratch memory, too, or the two are placed in different memories."""

from __future__ import annotations

from collections.abc import Collection

from stq_deploy.program import Program, with_scratch_apart
from stq_deploy.targets.boards import Board

VARIABLES_BYTES = 20 * 1024
"""Kept free for the variables of link and start-up, which are linked later; a test compares it with linked sizes."""


def laid_out_for(program: Program, board: Board, asked: Collection[str] = ()) -> Program:
    """The program with scratch memory in the arena, or beside it where that keeps it in the board's fastest memory.

    One arena takes the least RAM, so it is what a program has. Scratch memory is accessed far more often than tensors.
    If the arena does not fit the fastest memory with it, but the scratch memory alone does, the two are placed apart.

    Args:
        asked: groups whose memories the user chose; to choose that of scratch sets it apart.
    """
    if not program.arena.scratch:
        return program
    place = board.placement
    fastest = board.memory_named(place.arena[0])
    room = fastest.bytes
    room -= board.stack.bytes + board.stack.fault_bytes if place.stack == fastest.name else 0
    room -= VARIABLES_BYTES if place.data == fastest.name else 0
    is_split = program.arena.bytes > room >= program.scratch_bytes and len(place.arena) > 1
    return with_scratch_apart(program) if is_split or "scratch" in asked else program
