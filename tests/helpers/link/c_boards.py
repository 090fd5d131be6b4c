"""Compiles the board's side of the link for this computer."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stq_deploy.common.resources import firmware_templates
from stq_deploy.toolchain.host_compiler import find_host_compiler

HERE = Path(__file__).resolve().parents[2] / "link" / "c"
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


def compile_board(
    folder: Path,
    board: str,
    flags: Sequence[str] = (),
    *,
    sanitize: bool = False,
    network: Sequence[Path] = (HERE / "stub_network.c",),
) -> Path:
    """Link server, network and `c/<board>.c`: a program, or with `-shared` a library.

    Headers are looked for beside the network's sources first.
    """
    link = firmware_templates() / "link"
    includes = (*{source.parent: None for source in network}, HERE, link, firmware_templates() / "kernels" / "include")
    target = folder / board
    subprocess.run(
        [
            *find_host_compiler(sanitize=sanitize).command,
            *("-std=gnu99", *WARNINGS, *(SANITIZERS if sanitize else ("-O2",)), *flags),
            *(f"-I{path}" for path in includes),
            *map(str, [*sorted(link.glob("*.c")), *network, HERE / f"{board}.c"]),
            *("-o", str(target)),
        ],
        check=True,
        timeout=300,
    )
    return target


def load_private(library: Path) -> ctypes.CDLL:
    """The library with static memory of its own: a copy, because a file is loaded once per process."""
    with tempfile.TemporaryDirectory() as folder:
        return ctypes.CDLL(str(shutil.copy(library, Path(folder) / "board.so")))
