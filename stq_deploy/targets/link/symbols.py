"""Code address -> function, from the firmware's ELF."""

from __future__ import annotations

import os
from bisect import bisect_right
from pathlib import Path

from stq_deploy.targets.link.faults import Locate


def locate_in_elf(path: str | os.PathLike[str]) -> Locate:
    """A lookup from an address to the name of its function; it finds none if the ELF cannot be read.

    It only serves error messages, so a bad ELF must not hide the error.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    found: list[tuple[int, int, str]] = []
    try:
        with Path(path).open("rb") as file:
            for section in ELFFile(file).iter_sections():
                if isinstance(section, SymbolTableSection):
                    found += [
                        (symbol["st_value"] & ~1, symbol["st_size"], symbol.name)
                        for symbol in section.iter_symbols()
                        if symbol["st_info"]["type"] == "STT_FUNC"
                    ]
    except (OSError, ELFError):
        return lambda address: None
    functions = sorted(found)
    starts = [start for start, _, _ in functions]

    def locate(address: int) -> str | None:
        index = bisect_right(starts, address) - 1
        if index < 0:
            return None
        start, size, name = functions[index]
        # Symbols from assembly often have no size.
        return f"{name} + {address - start:#x}" if address - start < max(size, 4) else None

    return locate
