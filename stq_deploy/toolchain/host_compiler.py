"""Finding a C compiler for this computer itself."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass

from stq_deploy.common.errors import StqError

_VERSION_SECONDS = 60  # a first start of zig unpacks itself


@dataclass(frozen=True)
class HostCompiler:
    """A compiler that understands gcc's options.

    Attributes:
        command: the words that start it.
        version: what it says to `--version`; part of every build's identity.
        sanitizes: whether it brings AddressSanitizer.
    """

    command: tuple[str, ...]
    version: str
    sanitizes: bool


def find_host_compiler(*, sanitize: bool = False) -> HostCompiler:
    """`$CC` if it is set, else the first that works of cc, gcc, clang, and zig from the `ziglang` package.

    Args:
        sanitize: pass over those without AddressSanitizer (zig).

    Raises:
        StqError: none works.
    """
    for command in _candidates():
        zig = "ziglang" in command
        if sanitize and zig:
            continue
        version = _version(command)
        if version:
            return HostCompiler(command, version, sanitizes=not zig)
    what = "C compiler with AddressSanitizer" if sanitize else "C compiler"
    raise StqError(
        f"no {what} for this computer was found",
        where=_places(sanitize),
        cause="none is installed, or it is not on PATH",
        next="install one (`apt install gcc libc6-dev`, `xcode-select --install`)"
        + ("" if sanitize else ", or, without root rights, `pip install ziglang`"),
    )


def _candidates() -> list[tuple[str, ...]]:
    chosen = shlex.split(os.environ.get("CC", ""))
    if chosen:
        return [tuple(chosen)]
    candidates: list[tuple[str, ...]] = [("cc",), ("gcc",), ("clang",)]
    if importlib.util.find_spec("ziglang"):
        candidates.append((sys.executable, "-m", "ziglang", "cc"))
    return candidates


def _places(sanitize: bool) -> str:
    if os.environ.get("CC"):
        return f"environment variable CC={os.environ['CC']}"
    return "looked for cc, gcc, clang" + ("" if sanitize else " and the Python package ziglang")


def _version(command: tuple[str, ...]) -> str:
    """The compiler's version line; empty if it does not start."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, timeout=_VERSION_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()
