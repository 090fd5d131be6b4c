"""The kernels under test, callable: compiled for this computer, or for the Cortex-M7 and run on Unicorn.

Both take the same arguments (`tests.helpers.kernels.bare_metal.Argument`), so every test can run on either.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from stq_deploy.toolchain.host_compiler import find_host_compiler
from stq_deploy.toolchain.kernel_sources import every_kernel
from tests.helpers.kernels.bare_metal import Argument, BareMetalProgram, Struct
from tests.helpers.shared import made_once

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")


class KernelLibrary(Protocol):
    def call(self, function: str, *arguments: Argument) -> int:
        """Call `function`; arrays it writes are changed in place."""


class HostLibrary:
    """A shared library, called through ctypes."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    def call(self, function: str, *arguments: Argument) -> int:
        alive: list[Any] = []
        entry = self._library[function]
        entry.restype = ctypes.c_int32
        return int(entry(*[_host_argument(argument, alive) for argument in arguments]))


class EmulatedLibrary:
    """A Cortex-M7 program on Unicorn."""

    def __init__(self, path: Path) -> None:
        self._program = BareMetalProgram(path)

    def call(self, function: str, *arguments: Argument) -> int:
        return self._program.call(function, arguments).result


def _host_argument(argument: Argument, alive: list[Any]) -> Any:
    """A ctypes value; `alive` keeps what it points to."""
    if argument is None:
        return ctypes.c_void_p(None)
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, Struct):
        values = [_host_argument(field, alive) for field in argument.fields]
        layout = type("Layout", (ctypes.Structure,), {"_fields_": [(f"f{i}", type(v)) for i, v in enumerate(values)]})
        alive.append(layout(*values))
        return ctypes.c_void_p(ctypes.addressof(alive[-1]))
    return ctypes.c_int32(int(argument))


def compile_for_host(sources: Sequence[Path], includes: Sequence[Path], library: Path, *, sanitize: bool) -> None:
    """Compile C99 sources, warnings being errors, to a shared library."""
    compiler = find_host_compiler(sanitize=sanitize)
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if sanitize else ["-O2"]
    subprocess.run(
        [*compiler.command, "-std=c99", *WARNINGS, *flags, "-fPIC", "-shared", *(f"-I{folder}" for folder in includes),
         *map(str, sources), "-o", str(library)],
        check=True, timeout=300,
    )  # fmt: skip


def build_host_library(implementation: str, folder: Path, *, sanitize: bool) -> HostLibrary:
    """All kernels of `implementation`; the processes of a test run that name one folder compile them once."""

    def compile_to(library: Path) -> None:
        kernels = every_kernel(implementation, library.parent / f"{library.name}-instances")
        compile_for_host(kernels.files, kernels.include_folders, library, sanitize=sanitize)

    return HostLibrary(made_once(folder / f"kernels-{implementation}.so", compile_to))
