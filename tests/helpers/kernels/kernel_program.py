"""The kernel library as a bare-metal Cortex-M7 program, for calls through `bare_metal`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import firmware_templates
from stq_deploy.targets.boards import load_board
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.kernel_sources import every_kernel

IMPLEMENTATIONS = ("reference", "cortex_m7")

_BOARD = "stm32h743"
# Nothing calls the kernels, and zig drops uncalled functions unless they are kept.
_LINKER_SCRIPT = "SECTIONS { . = 0x08000000; .text : { KEEP(*(.text*)) *(.rodata*) } .data : { *(.data* .bss*) } }\n"
_COMPILE_TIMEOUT_S = 300.0


def build_kernel_program(compiler: Compiler, implementation: str, folder: Path) -> Path:
    """Compile and link every kernel of one implementation and the run-time, with the firmware's flags.

    Args:
        implementation: one of `IMPLEMENTATIONS`.
        folder: an existing folder for objects and the program.

    Returns:
        Path of the ELF.

    Raises:
        StqError: a kernel does not compile or link.
    """
    if implementation not in IMPLEMENTATIONS:
        raise StqError(f"there are no kernels named {implementation!r}", next=f"choose {' or '.join(IMPLEMENTATIONS)}")
    kernels = every_kernel(implementation, folder)
    beside = sorted((firmware_templates() / "runtime").glob("*.c"))
    sources = [*kernels.files, *beside]
    includes = [f"-I{path}" for path in kernels.include_folders]
    common = [
        *compiler.command, *(("cc",) if compiler.family == "zig" else ()),
        *load_board(_BOARD).cpu.flags[compiler.family], *compiler.compile_flags,
        # Every field of a struct is then one word, which `bare_metal.Struct` relies on.
        "-fno-short-enums",
    ]  # fmt: skip
    objects = []
    for source in sources:
        target = folder / f"{source.stem}.o"
        _run(compiler, [*common, *includes, "-c", str(source), "-o", str(target)], folder)
        objects.append(str(target))
    elf = folder / f"{implementation}.elf"
    script = folder / "kernels.ld"
    script.write_text(_LINKER_SCRIPT)
    link = ["-nostdlib", "-T", str(script), "-Wl,--entry=0"]
    _run(compiler, [*common, *link, *objects, *compiler.libraries, "-o", str(elf)], folder)
    return elf


def _run(compiler: Compiler, command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMPILE_TIMEOUT_S,
            check=False,
            cwd=folder,
            env={**os.environ, **compiler.environment},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StqError(f"the compiler could not be run: {error}", where=compiler.origin) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()[:12]
        raise StqError("the kernels do not compile:\n" + "\n".join(lines), where=compiler.origin)
