"""Which C files make up an implementation of the kernel library."""

from __future__ import annotations

from pathlib import Path

REFERENCE = "reference"


def kernel_sources(kernels: Path, implementation: str) -> list[Path]:
    """Its C files, and those of the portable reference for the kernels that it does not speed up; sorted by name.

    Args:
        kernels: the folder with one folder for each implementation.
    """
    found = {path.name: path for name in (REFERENCE, implementation) for path in (kernels / name).glob("*.c")}
    return [found[name] for name in sorted(found)]
