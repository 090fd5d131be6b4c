"""The generated C, compiled for this computer: a shared library, or a sanitized program."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stq_deploy import __version__
from stq_deploy.codegen import generate
from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import firmware_templates
from stq_deploy.program import Program
from stq_deploy.toolchain.host_compiler import HostCompiler, find_host_compiler
from stq_deploy.toolchain.kernel_sources import REFERENCE, every_kernel

KERNELS = ("reference", "cortex_m7")
"""Implementations of the kernel library; `cortex_m7` runs here with its intrinsics in portable C."""

_COMPILE_SECONDS = 600
_FAST = ("-std=c99", "-Wall", "-Wextra", "-O3", "-fPIC")
_SANITIZED = (
    "-std=c99", "-Wall", "-Wextra", "-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)  # fmt: skip


def build_host_library(
    program: Program,
    *,
    kernels: str = "reference",
    sanitize: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Generate, compile and link a program for this computer; what was built before is used again.

    Args:
        kernels: which implementation of the kernel library, of `KERNELS`.
        sanitize: build a program that reads samples on stdin (`host_main.c`), under AddressSanitizer and
            UndefinedBehaviorSanitizer, in place of a shared library.
        cache_dir: where built libraries are kept; by default `$XDG_CACHE_HOME/stq-deploy` or
        `~/.cache/stq-deploy`.

    Returns:
        Path of the shared library (interface: `host_library.h`), or of the program.

    Raises:
        StqError: no compiler, a compiler error, or a cache that cannot be written.
    """
    if kernels not in KERNELS:
        raise StqError(f"there is no kernel library {kernels!r}", next=f"choose one of {', '.join(KERNELS)}")
    compiler = find_host_compiler(sanitize=sanitize)
    cache = _cache_folder(cache_dir)
    flags = _SANITIZED if sanitize else _FAST
    objects = kernel_objects(compiler, kernels, flags, cache)
    with tempfile.TemporaryDirectory(prefix="stq-host-") as work:
        generated = generate(program, work, command="(host library)", tool_version=__version__)
        shim = firmware_templates() / "network"
        sources = [*generated.sources, shim / "host_library.c", *([shim / "host_main.c"] if sanitize else [])]
        headers = [*generated.folder.rglob("*.h"), shim / "host_library.h", *_headers(kernels)]
        includes = _include_flags(*generated.include_folders, shim, firmware_templates() / "kernels" / "include")
        name = "network" if sanitize else "network.so"
        link = () if sanitize else ("-shared",)

        def build(folder: Path) -> None:
            compiled = _compile(compiler, flags, includes, sources, folder)
            _run(compiler, (*flags, *link, *map(str, [*compiled, *objects]), "-o", str(folder / name)))
            for path in compiled:
                path.unlink()

        identity = _identity(compiler, (*flags, *link, objects[0].parent.name), [*sources, *headers])
        return _cached(cache / f"network-{identity}", build) / name


def kernel_objects(compiler: HostCompiler, kernels: str, flags: Sequence[str], cache: Path) -> list[Path]:
    """The kernel library's object files, compiled once for all networks; made in `cache` unless they are there."""
    with tempfile.TemporaryDirectory(prefix="stq-kernels-") as work:
        sources = every_kernel(kernels, Path(work), firmware_templates() / "kernels")

        def build(folder: Path) -> None:
            _compile(compiler, flags, _include_flags(*sources.include_folders), sources.files, folder)

        identity = _identity(compiler, (*flags, kernels), [*sources.files, *_headers(kernels)])
        folder = _cached(cache / f"kernels-{identity}", build)
    return sorted(folder.glob("*.o"))


def _headers(kernels: str) -> list[Path]:
    root = firmware_templates() / "kernels"
    include = root / "include"
    folders = {include, include / "internal", root / REFERENCE, root / kernels}
    return sorted(header for folder in folders for header in folder.glob("*.h"))


def _include_flags(*folders: Path) -> list[str]:
    return [f"-I{folder}" for folder in folders]


def _compile(
    compiler: HostCompiler,
    flags: Sequence[str],
    includes: Sequence[str],
    sources: Sequence[Path],
    folder: Path,
) -> list[Path]:
    compiled = [folder / f"{source.stem}.o" for source in sources]

    def compile_one(source: Path, target: Path) -> None:
        _run(compiler, (*flags, *includes, "-c", str(source), "-o", str(target)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, sources, compiled))  # the list brings out what a thread raised
    return compiled


def _run(compiler: HostCompiler, arguments: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            [*compiler.command, *arguments], capture_output=True, timeout=_COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StqError(f"the compiler could not be run: {error}", where=" ".join(compiler.command)) from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise StqError(
            "the host's C compiler failed:\n" + "\n".join(f"    {line}" for line in lines[:12]),
            where=" ".join(compiler.command),
            cause="the compiler's installation lacks something (C library headers, sanitizer libraries), or "
            "generated code is wrong",
            next="try another compiler with the environment variable CC; if it fails there too, report it",
        )


def _identity(compiler: HostCompiler, words: Iterable[str], files: Iterable[Path]) -> str:
    """Hash over everything that decides what is built."""
    digest = hashlib.sha256()
    for word in (*compiler.command, compiler.version, *words):
        digest.update(word.encode() + b"\0")
    for path in sorted(files, key=lambda p: p.name):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _cache_folder(chosen: str | os.PathLike[str] | None) -> Path:
    if chosen is not None:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "stq-deploy"


def _cached(folder: Path, build: Callable[[Path], None]) -> Path:
    """`folder`, filled by `build` unless it exists; of two who build it at once, the first one counts."""
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        build(beside)
        beside.rename(folder)
    except OSError as error:
        if not folder.is_dir():
            raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _unwritable(folder: Path, error: OSError) -> StqError:
    return StqError(
        f"cannot write to the cache: {error.strerror}",
        where=str(folder.parent),
        cause="the folder is read-only or the disk is full",
        next="set the environment variable XDG_CACHE_HOME to a folder you may write to",
    )
