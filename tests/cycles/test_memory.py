"""Caches and waits for memory, against sequences counted by hand."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from stq_deploy.cycles.caches import SimulatedCache
from stq_deploy.cycles.memory import MemorySystem
from stq_deploy.targets.boards import Board, Cache, load_board
from stq_deploy.targets.emulator.block_trace import ENTRY, BlockTrace, BlockWatch, CodeBlock

FLASH, AXI = 0x0800_0000, 0x2400_0000
IDLE = BlockTrace((), {}, {})
MISS = {memory.name: memory.miss_cycles for memory in load_board("stm32h743").memory}


def watch_of(system: MemorySystem, address: int) -> BlockWatch:
    (found,) = (watch for watch in system.watches if watch.start <= address < watch.end)
    return found


def test_lines_sets_and_ways() -> None:
    cache = SimulatedCache(Cache(bytes=128, ways=2, line_bytes=32))  # two sets
    assert [cache.access(address) for address in (0, 31, 32, 64, 0)] == [True, False, True, True, False]
    assert cache.access(128)  # a third line of set 0: drops 64, which was used before 0
    assert [cache.access(address) for address in (0, 32, 64)] == [False, False, True]


@pytest.mark.parametrize("ways", [1, 2, 4])
def test_like_a_list_of_recent_lines(ways: int) -> None:
    """An independent form of the same rule: a set holds the lines that were used last."""
    cache, sets = SimulatedCache(Cache(bytes=1024, ways=ways, line_bytes=32)), 32 // ways
    recent: list[deque[int]] = [deque(maxlen=ways) for _ in range(sets)]
    for address in np.random.default_rng(3).integers(0, 4096, 3000).tolist():
        line = address // 32
        kept = recent[line % sets]
        is_absent = line not in kept
        if not is_absent:
            kept.remove(line)
        kept.append(line)
        assert cache.access(address) == is_absent


def test_a_loop_over_more_than_the_cache_misses_every_line() -> None:
    system = MemorySystem(load_board("stm32h743"))
    flash = watch_of(system, FLASH)
    for _ in range(2):
        for address in range(FLASH, FLASH + 5 * 16_384 // 4, 4):
            flash.accessed(address, 4, False)
    lines = 2 * 5 * 16_384 // 4 // 32
    waits = system.take_waits(IDLE)
    assert waits.misses == {"flash_bank1": lines}
    assert waits.cycles == lines * (MISS["flash_bank1"] or 0)
    assert system.take_waits(IDLE).cycles == 0  # taken


def test_what_fits_waits_once() -> None:
    system = MemorySystem(load_board("stm32h743"))
    flash = watch_of(system, FLASH)
    for _ in range(3):
        for address in range(FLASH, FLASH + 8192, 4):
            flash.accessed(address, 4, False)
    assert system.take_waits(IDLE).misses == {"flash_bank1": 8192 // 32}


def test_stores_bring_a_line_without_a_wait() -> None:
    system = MemorySystem(load_board("stm32h743"))
    sram = watch_of(system, AXI)
    sram.accessed(AXI, 4, True)
    sram.accessed(AXI + 4, 4, False)
    assert system.take_waits(IDLE).cycles == 0
    sram.accessed(AXI + 32, 4, False)
    assert system.take_waits(IDLE).cycles == MISS["axi_sram"]


def test_code_is_fetched_by_lines() -> None:
    system = MemorySystem(load_board("stm32h743"))
    flash = watch_of(system, FLASH)
    flash.fetched(FLASH + 28, 40)  # touches three lines
    flash.fetched(FLASH + 32, 2)
    assert system.take_waits(IDLE).misses == {"flash_bank1": 3}


def test_memories_beside_the_core_are_not_watched() -> None:
    watched = {watch.start for watch in MemorySystem(load_board("stm32h743")).watches}
    assert not watched & {0, 0x2000_0000}
    assert watched == {FLASH, FLASH + 0x10_0000, AXI, 0x3000_0000, 0x3800_0000}


def test_a_memory_without_figures_is_named() -> None:
    board = load_board("stm32h743")
    memories = [memory.model_copy(update={"miss_cycles": None}) for memory in board.memory]
    system = MemorySystem(Board.model_construct(**{**dict(board), "memory": memories}))
    assert system.watches == ()
    trace = BlockTrace((CodeBlock(FLASH, b"\x00\xbf"),), {(ENTRY, 0): 1}, {0: ({FLASH: (AXI,)},)})
    waits = system.take_waits(trace)
    assert (waits.cycles, waits.unknown) == (0, {"flash_bank1", "axi_sram"})
    assert MemorySystem(board).take_waits(trace).unknown == frozenset()
