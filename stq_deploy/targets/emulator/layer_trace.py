"""What a layer of a built firmware executes: its basic blocks with exact counts, and samples of their addresses.

The layers run as the firmware runs them, with code and constants at their places, but without start-up, link and
interrupts: the ELF is loaded as start-up leaves it, and the network's own functions are called. So it takes any board
whose core Unicorn emulates, and counts nothing but the layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install
from stq_deploy.targets.boards import Board
from stq_deploy.targets.emulator.instructions import count_instructions
from stq_deploy.targets.emulator.program import load_program

ENTRY = -1
"""Stands for the caller in `LayerTrace.edges`."""

_INPUT_FUNCTION, _LAYER_FUNCTION = "stq_network_input", "stq_network_run_layer"
_OUTPUT_FUNCTION = "stq_network_output"
_PAGE = 0x1000
_TIMEOUT_US = 600 * 1_000_000
_SAMPLED_ACCESSES = 200_000
_CONSECUTIVE_SAMPLES, _MOST_SAMPLES, _SAMPLE_STRIDE = 8, 32, 13

Addresses = Mapping[int, tuple[int, ...]]
"""Address of an instruction -> those that it accessed in one execution of its block."""


@dataclass(frozen=True)
class Block:
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
class LayerTrace:
    """What one layer executed.

    Attributes:
        blocks: each once.
        edges: (block, the one that followed it) as indices -> how often; the first follows `ENTRY`.
        samples: index of a block -> addresses in some of its executions, the first of them one after the other. Blocks
            that ran late in a long layer have none.
    """

    blocks: tuple[Block, ...]
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
class Watch:
    """A range of memory whose use is reported while a layer runs.

    Attributes:
        start, end: its addresses.
        fetched: called with address and size of each executed block.
        accessed: called with address and size of each access to data, and whether it writes.
    """

    start: int
    end: int
    fetched: Callable[[int, int], None]
    accessed: Callable[[int, int, bool], None]


class NetworkOnCore:
    """The network of a firmware on an emulated core, layer by layer.

    Args:
        elf: a firmware from `build_firmware`.
        board: the board it is for.

    Raises:
        StqError: unicorn is not installed, or the file is not such a firmware.
    """

    def __init__(self, elf: Path, board: Board) -> None:
        try:
            import unicorn
            from unicorn import arm_const
        except ImportError as error:
            raise StqError(
                "unicorn, which emulates the core, is not installed",
                next=f"install it: {how_to_install('emulator')}",
            ) from error
        self._elf = elf
        self._memories = board.memory
        program = load_program(elf, board.memory)
        symbols = {name: start for start, _, name in program.functions}
        missing = [name for name in (_INPUT_FUNCTION, _LAYER_FUNCTION, _OUTPUT_FUNCTION) if name not in symbols]
        if missing:
            raise StqError(
                f"the firmware has no function {missing[0]}", where=str(elf), next="build it with `stq-deploy build`"
            )
        self._symbols = symbols
        # UC_MODE_MCLASS would silently make this a Cortex-M33.
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, cpu=arm_const.UC_CPU_ARM_CORTEX_M7)
        for memory in board.memory:
            self._uc.mem_map(memory.origin, -(-memory.bytes // _PAGE) * _PAGE)
        try:
            for segment in program.segments:
                self._uc.mem_write(segment.run_address, segment.data)
        except unicorn.UcError as error:
            raise StqError(
                "the firmware does not fit the memories of the board", where=str(elf),
                cause=f"it was built for another board than {board.name}",
            ) from error  # fmt: skip
        table = board.memory_named(board.placement.code).origin
        self._return = _free_address(board)
        self._stack = int.from_bytes(self._uc.mem_read(table, 4), "little") & ~7

    def put_input(self, levels: bytes) -> None:
        """Write the input of the network.

        Args:
            levels: in the input's storage type and order, little endian.
        """
        self._uc.mem_write(self._call(_INPUT_FUNCTION), levels)

    def output(self, size: int) -> bytes:
        """The first `size` bytes of the network's first output, after the last layer."""
        return bytes(self._uc.mem_read(self._call(_OUTPUT_FUNCTION), size))

    def trace(self, layer: int, watches: Sequence[Watch] = ()) -> LayerTrace:
        """Run a layer; they must run in order, from 0, after `put_input`.

        Raises:
            StqError: the layer reports an error, faults, or does not end within ten minutes.
        """
        before = [(m.origin, bytes(self._uc.mem_read(m.origin, m.bytes))) for m in self._memories if m.kind == "ram"]
        sampler = _Sampler(self._uc)
        self._run_hooked(layer, sampler)
        for origin, content in before:
            self._uc.mem_write(origin, content)
        counter = _EdgeCounter(self._uc, watches)
        if self._run_hooked(layer, counter) != 0:
            raise self._failed(f"layer {layer} reports an error")
        index = {key: number for number, key in enumerate(counter.keys)}
        blocks = tuple(Block(at, bytes(self._uc.mem_read(at, size))) for at, size in counter.keys)
        edges = {
            (ENTRY if before_it is None else index[before_it], index[key]): count
            for (before_it, key), count in counter.edges.items()
        }
        samples = {index[key]: tuple(seen) for key, seen in sampler.samples.items() if key in index}
        return LayerTrace(blocks, edges, samples)

    def _run_hooked(self, layer: int, hooks: _Hooks) -> int:
        self._uc.ctl_flush_tb()  # code translated without the hooks would run past them
        handles = hooks.add()
        try:
            return self._call(_LAYER_FUNCTION, layer, hooks)
        finally:
            for handle in handles:
                self._uc.hook_del(handle)
            self._uc.ctl_flush_tb()

    def _call(self, function: str, argument: int = 0, hooks: _Hooks | None = None) -> int:
        """Call a function; R0 after it, or 0 where the hooks have seen enough."""
        from unicorn import UcError, arm_const

        uc = self._uc
        uc.reg_write(arm_const.UC_ARM_REG_R0, argument)
        uc.reg_write(arm_const.UC_ARM_REG_SP, self._stack)
        uc.reg_write(arm_const.UC_ARM_REG_LR, self._return | 1)
        try:
            uc.emu_start(self._symbols[function] | 1, self._return, timeout=_TIMEOUT_US)
        except UcError as error:
            raise self._failed(f"{function} stops at 0x{self._pc:08X}: {error}") from error
        if hooks is not None and hooks.is_done:
            return 0
        if self._pc != self._return:
            raise self._failed(f"{function} has not returned within {_TIMEOUT_US // 1_000_000} s")
        return int(uc.reg_read(arm_const.UC_ARM_REG_R0))

    @property
    def _pc(self) -> int:
        from unicorn import arm_const

        return int(self._uc.reg_read(arm_const.UC_ARM_REG_PC))

    def _failed(self, what: str) -> StqError:
        return StqError(what, where=str(self._elf), next="run `stq-deploy verify`, which compares every layer")


def _free_address(board: Board) -> int:
    """Where a finished call returns to: an address of the code region in which the board has nothing."""
    for address in range(0x1FFF_F000, 0, -_PAGE):
        if not any(memory.origin <= address < memory.end for memory in board.memory):
            return address
    raise StqError(f"board {board.name!r} has memory at every address below 512 MiB")


_Key = tuple[int, int]
"""Address and size of a block."""


class _Hooks:
    """Hooks for the time of one call.

    Attributes:
        is_done: whether they have stopped the core, which has not returned then.
    """

    is_done = False

    def add(self) -> list[int]:
        raise NotImplementedError


@dataclass
class _EdgeCounter(_Hooks):
    """Counts which block follows which, and reports to the watches."""

    uc: Any
    watches: Sequence[Watch]
    edges: dict[tuple[_Key | None, _Key], int] = field(default_factory=dict)
    keys: dict[_Key, None] = field(default_factory=dict)

    def add(self) -> list[int]:
        from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, UC_MEM_WRITE

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

            def on_fetch(_uc: object, address: int, size: int, _data: object, watch: Watch = watch) -> None:
                watch.fetched(address, size)

            def on_access(
                _uc: object, kind: int, address: int, size: int, _value: int, _data: object, watch: Watch = watch
            ) -> None:
                watch.accessed(address, size, kind == UC_MEM_WRITE)

            handles.append(self.uc.hook_add(UC_HOOK_BLOCK, on_fetch, None, watch.start, watch.end - 1))
            kinds = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
            handles.append(self.uc.hook_add(kinds, on_access, None, watch.start, watch.end - 1))
        return handles


@dataclass
class _Sampler(_Hooks):
    """Notes the addresses of some executions of every block, until it has seen enough accesses."""

    uc: Any
    samples: dict[_Key, list[dict[int, tuple[int, ...]]]] = field(default_factory=dict)
    is_done: bool = False

    def add(self) -> list[int]:
        from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, arm_const

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
            if seen >= _SAMPLED_ACCESSES:
                self.is_done = True
                self.uc.emu_stop()

        kinds = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
        return [self.uc.hook_add(UC_HOOK_BLOCK, on_block), self.uc.hook_add(kinds, on_access)]
