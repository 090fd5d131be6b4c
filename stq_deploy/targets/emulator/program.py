"""The ELF file: the segments, and the function of an address. The file is untrusted."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import kind_of_file, not_wanted
from stq_deploy.common.regular_file import open_regular
from stq_deploy.targets.boards import Memory
from stq_deploy.targets.emulator.instructions import Instruction, walk


@dataclass(frozen=True)
class Segment:
    """Bytes to be placed at a load address, as the flash tool places them.

    Attributes:
        address: where the flash tool places them (LMA).
        data: the bytes.
        run_address: where the program finds them, once start-up has copied them (VMA).
    """

    address: int
    data: bytes
    run_address: int


@dataclass(frozen=True)
class LoadedElf:
    """A loaded ELF file.

    Attributes:
        segments: initial contents of memory by load address (LMA): .data is in flash until start-up copies it.
        code: instructions at the addresses where they will run, as (address, bytes); start-up copies some there.
        functions: (start, end, name), ascending.
    """

    segments: tuple[Segment, ...]
    code: tuple[tuple[int, bytes], ...]
    functions: tuple[tuple[int, int, str], ...]

    def function_at(self, address: int) -> str:
        """ "name+0xOffset", or "" where no function is known."""
        at = bisect.bisect_right(self.functions, address, key=lambda function: function[0]) - 1
        if at < 0:
            return ""
        start, end, name = self.functions[at]
        return f"{name}+0x{address - start:X}" if address < end else ""

    def read(self, address: int, size: int) -> bytes:
        """Initial contents at a load address; shorter where nothing is loaded."""
        for segment in self.segments:
            if segment.address <= address < segment.address + len(segment.data):
                return segment.data[address - segment.address :][:size]
        return b""

    def instructions(self) -> list[Instruction]:
        """Every instruction, at the address where it will run."""
        return [item for start, content in self.code for item in walk(start, content)]


_ELF = b"\x7fELF"


def load_program(path: Path, memories: list[Memory]) -> LoadedElf:
    """Read an ELF file for a chip with `memories`.

    Raises:
        StqError: no such file, not an ELF file for 32-bit Arm, cut off, or not made for these memories.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with open_regular(path) as file:
            if file.read(len(_ELF)) != _ELF:
                raise _no_program(path)
            elf = ELFFile(file)
            if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian:
                raise StqError("not a program for a 32-bit little-endian Arm core", where=str(path))
            segments = _read_segments(elf, path, memories)
            code, functions = _read_sections(elf)
    except IsADirectoryError as error:
        raise _no_program(path) from error
    except OSError as error:
        raise StqError(
            f"cannot read the program: {error.strerror}",
            where=str(path),
            next="build it with `stq-deploy build`",
        ) from error
    except (ELFError, ValueError, KeyError, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise StqError(
            "not an ELF file, or a damaged one",
            where=str(path),
            cause=str(error),
            next="build it again with `stq-deploy build`",
        ) from error
    return LoadedElf(segments, code, functions)


def _no_program(path: Path) -> StqError:
    """The error for another file: its kind, and how to make a program from it."""
    known = not_wanted(path, "an ELF file", _give(path))
    return known or StqError("not an ELF file, or a damaged one", where=str(path), next=_give(path))


def _give(path: Path) -> str:
    kind = None if path.is_dir() else kind_of_file(path)
    if kind is not None and kind.form:
        return (
            f"first `stq-deploy build --model {path} --out FOLDER`, then give FOLDER/firmware.elf; or let "
            "`stq-deploy run --emulated` do both"
        )
    return "give the firmware.elf that `stq-deploy build` has written"


def _read_segments(elf: Any, path: Path, memories: list[Memory]) -> tuple[Segment, ...]:
    segments = []
    for header in elf.iter_segments("PT_LOAD"):
        if not header["p_filesz"]:
            continue
        address, data = header["p_paddr"], header.data()
        if len(data) != header["p_filesz"]:
            raise StqError("the file is cut off", where=str(path), next="build it again")
        if not _lies_in_flash(address, len(data), memories):
            raise StqError(
                f"{len(data)} bytes are to be loaded at 0x{address:08X}, outside of the board's flash",
                where=str(path),
                cause="the program was built for another board",
            )
        segments.append(Segment(address, data, header["p_vaddr"]))
    if not segments:
        raise StqError("the program is empty: nothing in it is to be loaded", where=str(path))
    return tuple(segments)


def _lies_in_flash(address: int, size: int, memories: list[Memory]) -> bool:
    """Whether it is in one bank, or in several adjacent ones."""
    reached = address
    for memory in sorted(memories, key=lambda m: m.origin):
        if memory.kind == "flash" and memory.origin <= reached < memory.end:
            reached = memory.end
    return address + size <= reached


def _read_sections(elf: Any) -> tuple[tuple[tuple[int, bytes], ...], tuple[tuple[int, int, str], ...]]:
    """Stretches of instructions, without the data between them, and functions."""
    symbols = [symbol for section in elf.iter_sections("SHT_SYMTAB") for symbol in section.iter_symbols()]
    functions = sorted(
        (symbol["st_value"] & ~1, (symbol["st_value"] & ~1) + symbol["st_size"], symbol.name)
        for symbol in symbols
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_size"]
    )
    # Arm ELF marks where code ($t) and data ($d) begin.
    marks = sorted((s["st_value"], s.name[1]) for s in symbols if s.name[:2] in ("$t", "$d"))
    code = []
    for section in elf.iter_sections():
        if not section["sh_flags"] & 4 or not section["sh_size"]:  # SHF_EXECINSTR
            continue
        start, end, content = section["sh_addr"], section["sh_addr"] + section["sh_size"], section.data()
        inside = [(at, kind) for at, kind in marks if start <= at < end]
        for (at, kind), (following, _) in zip(inside, [*inside[1:], (end, "")], strict=True):
            if kind == "t" and following > at:
                code.append((at, content[at - start : following - start]))
    return tuple(code), tuple(functions)
