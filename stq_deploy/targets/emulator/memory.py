"""The chip's memories: contents that survive a reset, and rights that follow the MPU and the clocks."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from unicorn import UC_MEM_FETCH, UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_NONE, UC_PROT_READ, UC_PROT_WRITE, Uc

from stq_deploy.targets.boards import Memory
from stq_deploy.targets.emulator.access_faults import is_execute_never
from stq_deploy.targets.emulator.core import end_it_block
from stq_deploy.targets.emulator.peripherals.mpu import Mpu
from stq_deploy.targets.emulator.program import LoadedElf

_ERASED = b"\xff"
_NOISE_SEED = 0x5741
_LOAD_STORE = UC_PROT_READ | UC_PROT_WRITE
_ADDRESSES = 1 << 32


@dataclass
class _Bank:
    memory: Memory
    contents: mmap.mmap
    rights: list[tuple[int, int, int]] = field(default_factory=list)  # start, end, Unicorn's rights


class Memories:
    """Flash holds the program; RAM starts as noise, as on the chip, and keeps its contents over a reset."""

    def __init__(self, memories: list[Memory], program: LoadedElf) -> None:
        noise = random.Random(_NOISE_SEED)  # noqa: S311 - repeatable, not secret
        self._banks = []
        self._executed: set[int] = set()
        for memory in memories:
            contents = mmap.mmap(-1, memory.bytes)
            contents[:] = _ERASED * memory.bytes if memory.kind == "flash" else noise.randbytes(memory.bytes)
            self._banks.append(_Bank(memory, contents))
        for segment, bank in itertools.product(program.segments, self._banks):
            first = max(segment.address, bank.memory.origin)
            end = min(segment.address + len(segment.data), bank.memory.end)
            if first < end:
                part = segment.data[first - segment.address : end - segment.address]
                bank.contents[first - bank.memory.origin : end - bank.memory.origin] = part

    def map_into(self, uc: Uc) -> None:
        """Give a core these memories, with all rights except writing to flash."""
        for bank in self._banks:
            address = ctypes.addressof(ctypes.c_char.from_buffer(bank.contents))
            rights = _rights(bank.memory, read=True, write=True, execute=True)
            uc.mem_map_ptr(bank.memory.origin, bank.memory.bytes, rights, address)
            bank.rights = [(bank.memory.origin, bank.memory.end, rights)]

    def set_rights(self, mpu: Mpu, is_clocked: Callable[[int], bool]) -> bool:
        """Find the rights that MPU and clocks grant now; `apply_rights` enforces them.

        Args:
            is_clocked: whether the memory at an address has its clock.

        Returns:
            whether they differ from before.
        """
        before = [bank.rights for bank in self._banks]
        for bank in self._banks:
            points = mpu.boundaries(bank.memory.origin, bank.memory.end)
            bank.rights = []
            for start, end in itertools.pairwise(points):
                allowed = mpu.rights(start)
                rights = _rights(bank.memory, read=allowed.read, write=allowed.write, execute=allowed.execute)
                bank.rights.append((start, end, rights if is_clocked(start) else UC_PROT_NONE))
        return before != [bank.rights for bank in self._banks]

    def apply_rights(self, uc: Uc) -> None:
        """Enforce the rights found last. Not to be called while the core runs."""
        for bank in self._banks:
            for start, end, rights in bank.rights:
                uc.mem_protect(start, end - start, rights)

    def translate(self, uc: Uc, page: int, kind: int, entry: Any, _data: object) -> bool:
        """Unicorn's hook that fills its TLB: addresses are physical, and a page is code once it is executed.

        Unicorn takes a slow path for every store to a page that may be executed, as it must look for translations of
        its old contents. So a page may be executed only from its first execution on, and then for good. Rights are
        enforced elsewhere (`apply_rights`).

        Args:
            page: its first address.
            kind: UC_MEM_READ, UC_MEM_WRITE or UC_MEM_FETCH.
            entry: Unicorn's entry, which this sets.

        Returns:
            False where the architecture forbids the execution.
        """
        if kind == UC_MEM_FETCH:
            if is_execute_never(page):
                return False
            self._executed.add(page)
        else:
            end_it_block(uc)
        entry.paddr = page
        entry.perms = UC_PROT_ALL if page in self._executed else UC_PROT_READ | UC_PROT_WRITE
        return True

    def restricted(self) -> list[tuple[int, int]]:
        """Ranges of addresses (first, last), in order, where rights found last refuse loads or stores."""
        free = sorted(
            (start, end)
            for bank in self._banks
            for start, end, rights in bank.rights
            if rights & _LOAD_STORE == _LOAD_STORE
        )
        starts = [0, *(end for _, end in free)]
        ends = [*(start for start, _ in free), _ADDRESSES]
        return [(first, end - 1) for first, end in zip(starts, ends, strict=True) if first < end]

    def at(self, address: int) -> Memory | None:
        """The memory that has `address`."""
        return next((b.memory for b in self._banks if b.memory.origin <= address < b.memory.end), None)


def _rights(memory: Memory, *, read: bool, write: bool, execute: bool) -> int:
    return int(
        (UC_PROT_READ if read else 0)
        | (UC_PROT_WRITE if write and memory.kind == "ram" else 0)
        | (UC_PROT_EXEC if execute else 0)
    )
