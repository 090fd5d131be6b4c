"""Assembly for tests of the cycle models."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from elftools.elf.elffile import ELFFile

from stq_deploy.targets.boards import load_board
from stq_deploy.toolchain.compilers import Compiler

Assemble = Callable[[str], bytes]


def assembled(compiler: Compiler, text: str, folder: Path) -> bytes:
    """The code of lines of unified syntax, without the literal pool's labels."""
    source, target = folder / "code.s", folder / "code.o"
    source.write_text(f".syntax unified\n.thumb\n.text\n{text}\n")
    command = [
        *compiler.command, *(("cc",) if compiler.family == "zig" else ()),
        *load_board("stm32h743").cpu.flags[compiler.family], "-c", str(source), "-o", str(target),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | compiler.environment
    )
    assert done.returncode == 0, done.stderr
    with target.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        assert section is not None
        return bytes(section.data())
