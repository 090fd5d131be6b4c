"""Calls and address-taken functions of a Thumb object file, from its relocations and its instructions.

With -ffunction-sections a section is a function, so every call to another needs a relocation. Two kinds have none and
are found in the code: a function's call of itself, and calls through a register (`blx`, or `bx` as a tail call).
Encodings: ARMv7-M ARM (DDI 0403), A5 and A7. Relocations: ELF for the Arm architecture (AAELF32), 5.6.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Section, Symbol, SymbolTableSection

from stq_deploy.toolchain.stack_graph import INDIRECT_CALL, CallGraph, FunctionPlace, UnboundedStackError
from stq_deploy.toolchain.stack_pushes import lowered_by, moved_by_register

R_ARM_NONE = 0
CALLS = frozenset({10, 28, 29, 30, 51, 102, 103})
"""THM_CALL, CALL, JUMP24, THM_JUMP24, THM_JUMP19, THM_JUMP11, THM_JUMP8."""
ADDRESSES = frozenset({2, 3, 38, 43, 44, 47, 48})
"""ABS32, REL32, TARGET1, MOVW_ABS_NC, MOVT_ABS, THM_MOVW_ABS_NC, THM_MOVT_ABS."""

_UNWINDING_AND_VECTORS = (".ARM.", ".vectors")  # addresses there are never called through a pointer
_LINK_REGISTER = 14


@dataclass
class ObjectCode:
    """The code of one object.

    Attributes:
        functions: index of a section -> title of the function it holds.
        calls: function -> functions it calls, `INDIRECT_CALL` among them.
        address_taken: functions whose address is stored, and undefined names of which it is not known what they are.
        variables: names of the variables defined here.
        places: function -> its section.
        moves_stack: functions that set SP from a register: their frame is aligned or sized when they run.
        grows_by_register: functions that add a register to SP, or subtract one.
        pushed: function -> sum of the bytes by which its instructions lower SP by constants.
    """

    functions: dict[int, str] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    address_taken: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    places: dict[str, FunctionPlace] = field(default_factory=dict)
    moves_stack: set[str] = field(default_factory=set)
    grows_by_register: set[str] = field(default_factory=set)
    pushed: dict[str, int] = field(default_factory=dict)


def read_object(path: Path, source: str) -> ObjectCode:
    """Read an object compiled with -ffunction-sections.

    Args:
        source: names the file in the titles of its static functions.

    Raises:
        UnboundedStackError: code whose calls cannot be determined.
    """
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = symbols_of(elf)
        code = ObjectCode()
        for symbol in symbols:
            _define(symbol, source, code)
        call_sites = _read_relocations(elf, symbols, code)
        for index, function in code.functions.items():
            section = elf.get_section(index)
            code.places[function] = FunctionPlace(path, section.name, section.data_size)
            _read_instructions(elf, index, function, symbols, call_sites, code)
    return code


def reachable_through_pointers(objects: Iterable[ObjectCode]) -> set[str]:
    """Functions of a program that a call through a pointer may reach."""
    found = list(objects)
    taken = set[str]().union(*(code.address_taken for code in found))
    return taken - set[str]().union(*(code.variables for code in found))


def add_calls(graph: CallGraph, code: ObjectCode) -> None:
    """Add an object's calls to `graph`."""
    for caller, callees in code.calls.items():
        graph.calls.setdefault(caller, set()).update(callees)


def count_pushes(graph: CallGraph, code: ObjectCode) -> None:
    """Raise an object's frames in `graph` to what its instructions push, which a compiler does not see in assembly.

    Where a register sets SP, the instructions do not tell how much of the frame they are. They are added to it then.
    """
    unclear = code.moves_stack | code.grows_by_register
    for function, pushed in code.pushed.items():
        if function in graph.frames:
            stated = graph.frames[function]
            graph.frames[function] = stated + pushed if stated and function in unclear else max(stated, pushed)


def symbols_of(elf: ELFFile) -> list[Symbol]:
    """An object's symbols, by index."""
    table = elf.get_section_by_name(".symtab")
    return list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []


def _define(symbol: Symbol, source: str, code: ObjectCode) -> None:
    place, kind = symbol.entry.st_shndx, symbol.entry.st_info.type
    if not isinstance(place, int):  # undefined, absolute or common
        return
    if kind == "STT_OBJECT":
        code.variables.add(symbol.name)
    if kind != "STT_FUNC":
        return
    title = f"{source}:{symbol.name}" if symbol.entry.st_info.bind == "STB_LOCAL" else symbol.name
    if place in code.functions:
        raise UnboundedStackError(f"{code.functions[place]} and {title} share a section, which hides calls among them")
    code.functions[place] = title


def _read_relocations(elf: ELFFile, symbols: list[Symbol], code: ObjectCode) -> set[tuple[int, int]]:
    """Fill in calls and addresses; returns where calls are, as (section, offset)."""
    call_sites = set()
    for section in elf.iter_sections():
        if not isinstance(section, RelocationSection):
            continue
        index = section.header.sh_info
        target = elf.get_section(index)
        if not target.header.sh_flags & SH_FLAGS.SHF_ALLOC or target.name.startswith(_UNWINDING_AND_VECTORS):
            continue
        caller = code.functions.get(index)
        for relocation in section.iter_relocations():
            kind = relocation["r_info_type"]
            name = _function_named(symbols[relocation["r_info_sym"]], code)
            if kind in ADDRESSES:
                if name is not None:
                    code.address_taken.add(name)
            elif kind in CALLS and caller is not None and name is not None:
                code.calls.setdefault(caller, set()).add(name)
                call_sites.add((index, relocation["r_offset"]))
            elif kind != R_ARM_NONE:
                raise UnboundedStackError(f"{caller or target.name} has a relocation of unknown use, type {kind}")
    return call_sites


def _function_named(symbol: Symbol, code: ObjectCode) -> str | None:
    """Title of the function that a symbol, or the symbol of its section, stands for; a name if it is undefined."""
    place = symbol.entry.st_shndx
    if place == "SHN_UNDEF":
        return str(symbol.name)
    return code.functions.get(place)


def _read_instructions(
    elf: ELFFile, index: int, function: str, symbols: list[Symbol], call_sites: set[tuple[int, int]], code: ObjectCode
) -> None:
    section = elf.get_section(index)
    code.pushed[function] = 0
    for offset, first, second in _instructions(section, index, symbols):
        code.pushed[function] += lowered_by(first, second)
        # bl without a relocation: the target is in this section, so it is the function itself.
        if first & 0xF800 == 0xF000 and second & 0xD000 == 0xD000 and (index, offset) not in call_sites:
            code.calls.setdefault(function, set()).add(function)
        # blx and bx; bx lr is a return.
        elif first & 0xFF00 == 0x4700 and (first & 0x80 or first >> 3 & 0xF != _LINK_REGISTER):
            code.calls.setdefault(function, set()).add(INDIRECT_CALL)
        elif first & 0xFF87 == 0x4685:  # mov sp, register
            code.moves_stack.add(function)
        elif moved_by_register(first, second):
            code.grows_by_register.add(function)


def _instructions(section: Section, index: int, symbols: list[Symbol]) -> Iterator[tuple[int, int, int]]:
    """(offset, first halfword, second or 0) of a section's instructions, without the data among them."""
    content = section.data()
    # Mapping symbols (AAELF32, 5.5.5): where code and data begin.
    marks = {0: "$t"} | {
        symbol.entry.st_value: symbol.name[:2]
        for symbol in symbols
        if symbol.entry.st_shndx == index and symbol.name.partition(".")[0] in ("$t", "$d")
    }
    ends = [*sorted(marks), len(content)]
    for start, end in itertools.pairwise(ends):
        if marks[start] != "$t":
            continue
        position = start
        while position + 2 <= end:
            first = int.from_bytes(content[position : position + 2], "little")
            wide = first >= 0xE800
            yield position, first, int.from_bytes(content[position + 2 : position + 4], "little") if wide else 0
            position += 4 if wide else 2
