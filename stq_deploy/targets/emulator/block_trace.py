"""What a call on an emulated core executes: its basic blocks with exact counts, and samples of their addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stq_deploy.targets.emulator.instructions import count_instructions

ENTRY = -1
"""Stands for the caller in `BlockTrace.edges`."""

_SAMPLED_ACCESSES = 200_000
_CONSECUTIVE_SAMPLES, _MOST_SAMPLES, _SAMPLE_STRIDE = 8, 32, 13

Addresses = Mapping[int, tuple[int, ...]]
"""Address of an instruction -> those that it accessed in one execution of its block."""


@dataclass(frozen=True)
class CodeBlock:
    """Straight code that runs from its first to its last instruction.

    Attributes:
        address: of the first.
        code: its bytes.
    """

    address: int
    code: bytes

    @property
    def end(self) -> int:
        """Address after it."""
        return self.address + len(self.code)

    @property
    def instructions(self) -> int:
        return count_instructions(self.code)


@dataclass(frozen=True)
class BlockTrace:
    """What a call executed.

    Attributes:
        blocks: each once.
        edges: (block, the one that followed it) as indices -> how often; the first follows `ENTRY`.
        samples: index of a block -> addresses in some of its executions, the first of them one after the other. Blocks
            that ran late in a long call have none.
    """

    blocks: tuple[CodeBlock, ...]
    edges: Mapping[tuple[int, int], int]
    samples: Mapping[int, tuple[Addresses, ...]]

    @property
    def counts(self) -> Mapping[int, int]:
        """Index of a block -> how often it ran."""
        counts: Counter[int] = Counter()
        for (_, block), count in self.edges.items():
            counts[block] += count
        return counts

    @property
    def instructions(self) -> int:
        """Executed instructions, including those that an IT block skips."""
        return sum(self.blocks[index].instructions * count for index, count in self.counts.items())


@dataclass(frozen=True)
class BlockWatch:
    """A range of memory whose use is reported during a call.

    Attributes:
        start, end: its addresses.
        fetched: called with address and size of each executed block.
        accessed: called with address and size of each access to data, and whether it writes.
    """

    start: int
    end: int
    fetched: Callable[[int, int], None]
    accessed: Callable[[int, int, bool], None]


Run = Callable[["Hooks"], None]
"""Runs a call from its beginning, to its end or until `is_done` of the hooks, and raises where it fails."""


def trace_call(uc: Any, run: Run, memory: Sequence[tuple[int, int]], watches: Sequence[BlockWatch] = ()) -> BlockTrace:
    """Run a call twice, from the same contents of memory: for samples of addresses, and for counts.

    Args:
        uc: the core, a `unicorn.Uc`.
        memory: (address, bytes) of all that the call may change.
        watches: ranges whose use is reported, in the second run.
    """
    before = [(address, bytes(uc.mem_read(address, size))) for address, size in memory]
    sampler = _Sampler(uc)
    _run_hooked(uc, run, sampler)
    for address, content in before:
        uc.mem_write(address, content)
    counter = _EdgeCounter(uc, watches)
    _run_hooked(uc, run, counter)
    index = {key: number for number, key in enumerate(counter.keys)}
    blocks = tuple(CodeBlock(at, bytes(uc.mem_read(at, size))) for at, size in counter.keys)
    edges = {
        (ENTRY if before_it is None else index[before_it], index[key]): count
        for (before_it, key), count in counter.edges.items()
    }
    samples = {index[key]: tuple(seen) for key, seen in sampler.samples.items() if key in index}
    return BlockTrace(blocks, edges, samples)


def _run_hooked(uc: Any, run: Run, hooks: Hooks) -> None:
    uc.ctl_flush_tb()  # code translated without the hooks would run past them
    handles = hooks.add()
    try:
        run(hooks)
    finally:
        for handle in handles:
            uc.hook_del(handle)
        uc.ctl_flush_tb()


_Key = tuple[int, int]
"""Address and size of a block."""


class Hooks:
    """Hooks for the time of one call.

    Attributes:
        is_done: whether they have stopped the core, which has not returned then.
    """

    is_done = False

    def add(self) -> list[int]:
        raise NotImplementedError


@dataclass
class _EdgeCounter(Hooks):
    """Counts which block follows which, and reports to the watches."""

    uc: Any
    watches: Sequence[BlockWatch]
    edges: dict[tuple[_Key | None, _Key], int] = field(default_factory=dict)
    keys: dict[_Key, None] = field(default_factory=dict)

    def add(self) -> list[int]:
        from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, UC_MEM_WRITE

        from stq_deploy.targets.emulator.core import end_it_block

        edges, keys = self.edges, self.keys
        last: _Key | None = None

        def on_block(_uc: object, address: int, size: int, _data: object) -> None:
            nonlocal last
            key = (address, size)
            edge = (last, key)
            count = edges.get(edge)
            if count is None:
                edges[edge] = 1
                keys[key] = None
            else:
                edges[edge] = count + 1
            last = key

        handles = [self.uc.hook_add(UC_HOOK_BLOCK, on_block)]
        for watch in self.watches:

            def on_fetch(_uc: object, address: int, size: int, _data: object, watch: BlockWatch = watch) -> None:
                watch.fetched(address, size)

            def on_access(
                _uc: object, kind: int, address: int, size: int, _value: int, _data: object, watch: BlockWatch = watch
            ) -> None:
                watch.accessed(address, size, kind == UC_MEM_WRITE)
                end_it_block(self.uc)

            handles.append(self.uc.hook_add(UC_HOOK_BLOCK, on_fetch, None, watch.start, watch.end - 1))
            kinds = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
            handles.append(self.uc.hook_add(kinds, on_access, None, watch.start, watch.end - 1))
        return handles


@dataclass
class _Sampler(Hooks):
    """Notes the addresses of some executions of every block, until it has seen enough accesses."""

    uc: Any
    samples: dict[_Key, list[dict[int, tuple[int, ...]]]] = field(default_factory=dict)
    is_done: bool = False

    def add(self) -> list[int]:
        from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, arm_const

        from stq_deploy.targets.emulator.core import end_it_block

        counts: Counter[_Key] = Counter()
        current: dict[int, tuple[int, ...]] | None = None
        seen = 0

        def on_block(_uc: object, address: int, size: int, _data: object) -> None:
            nonlocal current
            key = (address, size)
            count = counts[key]
            counts[key] = count + 1
            samples = self.samples.setdefault(key, [])
            if count < _CONSECUTIVE_SAMPLES or (not count % _SAMPLE_STRIDE and len(samples) < _MOST_SAMPLES):
                current = {}
                samples.append(current)
            else:
                current = None

        def on_access(_uc: Any, _kind: int, address: int, _size: int, _value: int, _data: object) -> None:
            nonlocal seen
            seen += 1
            if current is not None:
                at = int(self.uc.reg_read(arm_const.UC_ARM_REG_PC))
                current[at] = (*current.get(at, ()), address)
            end_it_block(self.uc)
            if seen >= _SAMPLED_ACCESSES:
                self.is_done = True
                self.uc.emu_stop()

        kinds = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
        return [self.uc.hook_add(UC_HOOK_BLOCK, on_block), self.uc.hook_add(kinds, on_access)]
