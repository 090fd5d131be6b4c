"""Calls single functions of a freestanding Cortex-M7 ELF on Unicorn, and counts their instructions exactly.

There is no board and no start-up code. The ELF is loaded, arguments follow the Arm procedure call standard (AAPCS32),
and the function runs until it returns. Kernel tests and `tools/bench_kernels` use this; whole firmware runs on the
emulated board.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.common.errors import StqError
from stq_deploy.common.installation import how_to_install
from stq_deploy.targets.emulator.block_trace import BlockTrace, Hooks, trace_call

_RAM = 0x20000000
_RAM_BYTES = 32 << 20
_STACK_TOP = 0x10010000
_STACK_BYTES = 0x10000
_RETURN = 0x0FFFF000  # return address of a finished call; nothing is there
_PAGE = 0x1000
_GUARD = b"\xa5" * 64
_TIMEOUT_US = 300 * 1_000_000


@dataclass(frozen=True)
class Struct:
    """A C struct passed by pointer.

    Attributes:
        fields: in order; each takes one 32-bit word: an integer (or enum), an array or struct (its address), or
            None (a null pointer).
    """

    fields: tuple[Argument, ...]


Argument = int | npt.NDArray[Any] | Struct | None
"""An integer; an array (passed as its address; it receives what the function writes); a struct; a null pointer."""


@dataclass(frozen=True)
class Call:
    """Outcome of a call.

    Attributes:
        result: r0 as a signed integer.
        instructions: executed instructions, including those skipped by an IT block; 0 if not counted.
        trace: the executed blocks; None unless asked for.
    """

    result: int
    instructions: int
    trace: BlockTrace | None = None


class BareMetalProgram:
    """A linked ELF, ready for calls. Calls share only the program's own static data.

    Args:
        path: a statically linked little-endian Arm ELF.

    Raises:
        StqError: the file is missing, or not such an ELF; or unicorn is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            import unicorn
            from unicorn import arm_const
        except ImportError as error:
            raise StqError(
                "the emulator needs the Python package unicorn", next=f"install it: {how_to_install('emulator')}"
            ) from error

        self._path = Path(path)
        segments, self._symbols = _read_elf(self._path)
        # UC_MODE_MCLASS would silently make this a Cortex-M33.
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, cpu=arm_const.UC_CPU_ARM_CORTEX_M7)
        self._uc.mem_map(_RAM, _RAM_BYTES)
        self._uc.mem_map(_STACK_TOP - _STACK_BYTES, _STACK_BYTES)
        pages = {page for address, data in segments for page in _pages(address, len(data))}
        for page in sorted(pages):
            self._uc.mem_map(page, _PAGE)
        for address, data in segments:
            self._uc.mem_write(address, data)
        self._lengths: dict[tuple[int, int], int] = {}
        self._executed = 0

    def call(self, function: str, arguments: Sequence[Argument], *, count: bool = False, trace: bool = False) -> Call:
        """Run `function` with up to any number of word-sized arguments.

        Args:
            count: count instructions (some thirty times slower).
            trace: also note the executed blocks, for an estimate of cycles; the function runs twice, and its arrays are
                aligned to 8 bytes, as in a firmware.

        Raises:
            StqError: no such function; arrays that do not fit the memory; a fault; a write outside the arrays; no
                return within five minutes.
        """
        from unicorn import UC_HOOK_BLOCK

        address = self._symbols.get(function)
        if address is None:
            raise StqError(f"the program has no function {function!r}", where=str(self._path))
        memory = _Memory(self._uc, aligned=trace)
        words = [memory.place(argument) & 0xFFFFFFFF for argument in arguments]
        if trace:
            changing = [(_RAM, memory.end - _RAM), (_STACK_TOP - _STACK_BYTES, _STACK_BYTES)]
            blocks = trace_call(self._uc, lambda hooks: self._run(function, address, words, hooks), changing)
            memory.fetch(function)
            return Call(self._result(), blocks.instructions, blocks)
        self._executed = 0
        if count:
            self._uc.ctl_flush_tb()  # code translated without the hook would run past it
        hook = self._uc.hook_add(UC_HOOK_BLOCK, self._count_block) if count else None
        try:
            self._run(function, address, words)
        finally:
            if hook is not None:
                self._uc.hook_del(hook)
        memory.fetch(function)
        return Call(self._result(), self._executed)

    def _run(self, function: str, address: int, words: Sequence[int], hooks: Hooks | None = None) -> None:
        from unicorn import UcError, arm_const

        in_registers, on_stack = words[:4], words[4:]
        # AAPCS: the stack is aligned to 8 bytes at a call.
        stack = _STACK_TOP - (4 * len(on_stack) + 7) // 8 * 8
        self._uc.mem_write(stack, np.asarray(on_stack, "<u4").tobytes())
        for register, word in zip(
            range(arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R0 + 4), in_registers, strict=False
        ):
            self._uc.reg_write(register, word)
        self._uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self._uc.reg_write(arm_const.UC_ARM_REG_LR, _RETURN | 1)
        try:
            self._uc.emu_start(address | 1, _RETURN, timeout=_TIMEOUT_US)
        except UcError as error:
            raise self._fault(function, str(error)) from error
        has_returned = self._uc.reg_read(arm_const.UC_ARM_REG_PC) == _RETURN
        if not has_returned and not (hooks is not None and hooks.is_done):
            raise self._fault(function, "it did not return in time")

    def _result(self) -> int:
        """R0 as a signed integer."""
        from unicorn import arm_const

        result = int(self._uc.reg_read(arm_const.UC_ARM_REG_R0))
        return result - (1 << 32) if result >> 31 else result

    def _count_block(self, uc: Any, address: int, size: int, _: Any) -> None:
        key = (address, size)
        length = self._lengths.get(key)
        if length is None:
            length = self._lengths[key] = count_thumb_instructions(bytes(uc.mem_read(address, size)))
        self._executed += length

    def _fault(self, function: str, what: str) -> StqError:
        from unicorn import arm_const

        pc = int(self._uc.reg_read(arm_const.UC_ARM_REG_PC))
        return StqError(f"{function} stopped at 0x{pc:08x}: {what}", where=str(self._path))


def count_thumb_instructions(code: bytes) -> int:
    """Number of instructions in a piece of Thumb-2 code (16- and 32-bit encodings)."""
    halfwords = np.frombuffer(code, "<u2")
    count = i = 0
    while i < len(halfwords):
        i += 2 if halfwords[i] >> 11 in (0b11101, 0b11110, 0b11111) else 1
        count += 1
    return count


class _Memory:
    """Arguments of one call in the emulated RAM, each between guards."""

    def __init__(self, uc: Any, *, aligned: bool) -> None:
        self._uc = uc
        self._aligned = aligned
        self._next = _RAM
        self._arrays: dict[int, tuple[int, npt.NDArray[Any]]] = {}

    @property
    def end(self) -> int:
        """Address after the last argument."""
        return self._next

    def place(self, argument: Argument) -> int:
        """The word passed for an argument; arrays and structs are copied to the RAM, each array once."""
        if argument is None:
            return 0
        if isinstance(argument, Struct):
            words = np.asarray([self.place(field) & 0xFFFFFFFF for field in argument.fields], "<u4")
            return self._copy(words.tobytes(), 4)
        if isinstance(argument, np.ndarray):
            known = self._arrays.get(id(argument))
            if known is None:
                if not argument.flags.c_contiguous:
                    raise StqError("an array argument is not contiguous")
                known = (self._copy(argument.tobytes(), argument.itemsize), argument)
                self._arrays[id(argument)] = known
            return known[0]
        return int(argument)

    def fetch(self, function: str) -> None:
        """Copy arrays back, and check that nothing was written outside them."""
        for address, array in self._arrays.values():
            content = bytes(self._uc.mem_read(address - len(_GUARD), array.nbytes + 2 * len(_GUARD)))
            if not (content.startswith(_GUARD) and content.endswith(_GUARD)):
                raise StqError(
                    f"{function} wrote beside an array of {array.nbytes} bytes",
                    cause="wrong arguments, or an error in the function",
                )
            if array.flags.writeable:
                array.reshape(-1)[:] = np.frombuffer(content[len(_GUARD) : -len(_GUARD)], array.dtype)

    def _copy(self, content: bytes, alignment: int) -> int:
        # Aligned only to its element, so that a kernel which assumes more alignment fails.
        start = self._next + len(_GUARD)
        address = -(-start // 8) * 8 + (0 if self._aligned else alignment % 8)
        end = address + len(content) + len(_GUARD)
        if end > _RAM + _RAM_BYTES:
            raise StqError(f"the arguments do not fit the emulated {_RAM_BYTES >> 20} MiB")
        self._uc.mem_write(address - len(_GUARD), _GUARD + content + _GUARD)
        self._next = end
        return address


def _pages(address: int, size: int) -> range:
    return range(address // _PAGE * _PAGE, address + size, _PAGE)


def _read_elf(path: Path) -> tuple[list[tuple[int, bytes]], dict[str, int]]:
    """Loadable segments (address, content) and functions by name."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf.header["e_machine"] != "EM_ARM" or not elf.little_endian or elf.elfclass != 32:
                raise StqError("not a little-endian 32-bit Arm ELF", where=str(path))
            segments = [
                (int(s["p_vaddr"]), s.data() + bytes(s["p_memsz"] - s["p_filesz"]))
                for s in elf.iter_segments("PT_LOAD")
                if s["p_memsz"]
            ]
            table = elf.get_section_by_name(".symtab")
            functions = (
                [symbol for symbol in table.iter_symbols() if symbol["st_info"]["type"] == "STT_FUNC"]
                if isinstance(table, SymbolTableSection)
                else []
            )
            symbols = {symbol.name: int(symbol["st_value"]) & ~1 for symbol in functions}
    except OSError as error:
        raise StqError(f"cannot read the program: {error.strerror}", where=str(path)) from error
    except ELFError as error:
        raise StqError(f"not an ELF file: {error}", where=str(path)) from error
    return segments, symbols
