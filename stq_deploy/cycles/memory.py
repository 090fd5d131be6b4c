"""Waits for memory, from a simulation of the board's caches.

The simulation follows every fetch and access outside the tightly coupled memories. The core waits for the word of a
line that a cache lacks. That word arrives first, and the rest of the line while the core continues (Arm DDI0489, "L1
caches"). A changed line that the cache evicts waits in a buffer, and costs nothing here. Stores do not wait for the
line that they need either: the store buffer holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from stq_deploy.cycles.caches import SimulatedCache
from stq_deploy.targets.boards import Board, Memory
from stq_deploy.targets.emulator.block_trace import BlockTrace, BlockWatch


@dataclass(frozen=True)
class MemoryWaits:
    """Waits of one layer.

    Attributes:
        cycles: core cycles.
        misses: memory -> number of lines read from it, for code and data.
        unknown: memories in use for which the board states no `miss_cycles`; their waits are missing.
    """

    cycles: int = 0
    misses: dict[str, int] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


class MemorySystem:
    """The caches of a board and the memories behind them.

    The caches are empty before the first layer, and keep their contents from layer to layer.
    """

    def __init__(self, board: Board) -> None:
        timing = board.timing
        self._code = SimulatedCache(timing.instruction_cache) if timing.instruction_cache else None
        self._data = SimulatedCache(timing.data_cache) if timing.data_cache else None
        self._cycles = 0
        self._misses: Counter[str] = Counter()
        self._without_figures = [memory for memory in board.memory if memory.miss_cycles is None]
        slow = [memory for memory in board.memory if memory.miss_cycles]
        self.watches = tuple(
            BlockWatch(memory.origin, memory.end, self._fetcher(memory), self._accessor(memory)) for memory in slow
        )
        """The fetches and accesses that the emulated core reports."""

    def take_waits(self, trace: BlockTrace) -> MemoryWaits:
        """The waits since the last call, in which the one layer of `trace` ran."""
        waits = MemoryWaits(self._cycles, dict(self._misses), frozenset(self._unknown(trace)))
        self._cycles = 0
        self._misses.clear()
        return waits

    def _unknown(self, trace: BlockTrace) -> Iterator[str]:
        for memory in self._without_figures:
            code = (block.address for block in trace.blocks)
            data = (
                address
                for samples in trace.samples.values()
                for sample in samples
                for addresses in sample.values()
                for address in addresses
            )
            if any(memory.origin <= address < memory.end for address in chain(code, data)):
                yield memory.name

    def _fetcher(self, memory: Memory) -> Callable[[int, int], None]:
        cache = self._code

        def fetched(address: int, size: int) -> None:
            line_bytes = cache.line_bytes if cache else 8  # without a cache, a fetch takes 64 bits
            for line in range(address // line_bytes, (address + size - 1) // line_bytes + 1):
                if cache is None or cache.access(line * line_bytes):
                    self._wait(memory)

        return fetched

    def _accessor(self, memory: Memory) -> Callable[[int, int, bool], None]:
        cache = self._data

        def accessed(address: int, _size: int, writes: bool) -> None:
            absent = cache is None or cache.access(address)
            if absent and not writes:
                self._wait(memory)

        return accessed

    def _wait(self, memory: Memory) -> None:
        self._cycles += memory.miss_cycles or 0
        self._misses[memory.name] += 1
