"""Which C files make up an implementation of the kernel library."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.codegen import instances
from stq_deploy.common.files import write_whole
from stq_deploy.common.resources import firmware_templates
from stq_deploy.program.kernels.choice import all_kernels
from stq_deploy.program.kernels.spec import Kernel

REFERENCE = "reference"


@dataclass(frozen=True)
class KernelSources:
    """The C of some kernels.

    Attributes:
        files: to compile.
        include_folders: where their headers lie.
    """

    files: tuple[Path, ...]
    include_folders: tuple[Path, ...]


def kernel_files(kernels: Path, implementation: str) -> list[Path]:
    """The C files of an implementation, and those of the portable reference for what it does not speed up; by name.

    Args:
        kernels: the folder with one folder for each implementation.
    """
    found = {path.name: path for name in (REFERENCE, implementation) for path in (kernels / name).glob("*.c")}
    return [found[name] for name in sorted(found)]


def write_instances(folder: Path, kernels: Path, implementation: str, wanted: Iterable[Kernel]) -> list[Path]:
    """Write the kernels without a file of their own into `folder`; returns the file, or nothing if there are none.

    Args:
        kernels: the folder with one folder for each implementation; an include folder of the file, if not `folder`.
    """

    def folder_of(core: str) -> str:
        return implementation if (kernels / implementation / core).is_file() else REFERENCE

    source = instances.instances_source(wanted, folder_of)
    if source is None:
        return []
    path = folder / instances.NAME
    write_whole(path, source)
    return [path]


def every_kernel(implementation: str, folder: Path, kernels: Path | None = None) -> KernelSources:
    """All kernels of an implementation, for hosts, tools and tests; a firmware has only those that it calls.

    Args:
        folder: receives the generated file.
        kernels: the folder with one folder for each implementation; by default the repository's.
    """
    kernels = kernels or firmware_templates() / "kernels"
    written = write_instances(folder, kernels, implementation, all_kernels())
    files = (*kernel_files(kernels, implementation), *written)
    return KernelSources(files, (kernels / "include", kernels))
