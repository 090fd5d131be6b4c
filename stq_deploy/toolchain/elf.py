"""The content of a linked ELF: sections with load addresses, symbols, and the bytes to program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection


@dataclass(frozen=True)
class Section:
    """A section that takes memory on the board.

    Attributes:
        address: where it is when the program runs.
        load_address: where its content is programmed; equals `address` for all but initialized data.
        size: in bytes.
        content: what is programmed; None if nothing is.
    """

    name: str
    address: int
    load_address: int
    size: int
    content: bytes | None


@dataclass(frozen=True)
class Symbol:
    """A function or variable; `address` has the Thumb bit cleared."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class Image:
    """Content of an ELF: sections and symbols by address, and the entry point."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    entry: int

    def section_bytes(self, name: str) -> int:
        """Size of a section; 0 if there is none of that name."""
        return sum(s.size for s in self.sections if s.name == name)

    def symbol_bytes(self, name: str) -> int:
        """Size of a function or variable; 0 if the linker left it out."""
        return max((s.size for s in self.symbols if s.name == name), default=0)


def read_image(path: Path) -> Image:
    """Read an ELF that this tool's own linker wrote."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        loads = [s.header for s in elf.iter_segments("PT_LOAD")]
        sections = []
        for section in elf.iter_sections():
            header = section.header
            if not header.sh_flags & SH_FLAGS.SHF_ALLOC or header.sh_size == 0:
                continue
            programmed = header.sh_type != "SHT_NOBITS"
            load_address = header.sh_addr
            for load in loads:
                if programmed and load.p_offset <= header.sh_offset < load.p_offset + load.p_filesz:
                    load_address = load.p_paddr + header.sh_offset - load.p_offset
            content = section.data() if programmed else None
            sections.append(Section(section.name, header.sh_addr, load_address, header.sh_size, content))
        symbols = []
        for table in elf.iter_sections():
            if not isinstance(table, SymbolTableSection):
                continue
            for symbol in table.iter_symbols():
                kind = symbol.entry.st_info.type
                if kind in ("STT_FUNC", "STT_OBJECT") and symbol.entry.st_shndx != "SHN_UNDEF":
                    function = kind == "STT_FUNC"
                    address = symbol.entry.st_value & (~1 if function else ~0)
                    symbols.append(Symbol(symbol.name, address, symbol.entry.st_size, function))
        entry = elf.header.e_entry
    return Image(
        tuple(sorted(sections, key=lambda s: s.address)),
        tuple(sorted(symbols, key=lambda s: (s.address, s.name))),
        entry,
    )
