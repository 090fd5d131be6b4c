"""The C project of a build: generated and copied sources, linker script, Makefile; it builds by itself.

Makefile
network/   what codegen wrote for this model, and manifest.json
served/    the network as link/ sees it
kernels/   include/, the core's variant, reference/ for what the variant lacks, and instances.c
link/      the server that answers the host
runtime/   the memory functions that compilers call
armv7m/    what boards of one architecture share: start-up, main(), fault handler, the core's registers
board/     the board's own: clocks, serial port; and written: linker.ld, board_config.h, vectors.c, build_id.c
LICENSE    of these files: the network's are the user's
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.resources import firmware_templates
from stq_deploy.program.kernels.choice import all_kernels
from stq_deploy.program.kernels.spec import Kernel
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.compilers import Compiler
from stq_deploy.toolchain.kernel_sources import kernel_files, write_instances
from stq_deploy.toolchain.placement import Placement
from stq_deploy.toolchain.templates import render

BUILD_ID_BYTES = 16
BUILD_ID_SOURCE = "board/build_id.c"
LINKER_SCRIPT = "board/linker.ld"
VECTOR_TABLE = "board/vectors.c"
FAST_SOURCES = ("kernels/", "network/", "link/stq_inference")
"""Prefixes of sources that run during an inference and are compiled for speed; all others are compiled for size."""
_SHARED_FOLDERS = ("link", "runtime")
_NETWORK_FOLDERS = ("network", "served")


@dataclass(frozen=True)
class Project:
    """A laid-out project.

    Attributes:
        folder: its root.
        sources: C files to compile, relative to the root, sorted; without `BUILD_ID_SOURCE`.
        include_folders: relative to the root.
    """

    folder: Path
    sources: tuple[str, ...]
    include_folders: tuple[str, ...]

    def files(self) -> list[str]:
        """Every C file and header, sorted."""
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*.[ch]") if p.is_file())


def lay_out(folder: Path, board: Board, kernels: Iterable[Kernel]) -> Project:
    """Copy the sources of kernels, link, run-time and board beside the `network/` that codegen has written.

    Args:
        folder: the project's root; holds `network/`.
        kernels: those that the network calls; others are left out.
    """
    (folder / "network" / "served").rename(folder / "served")  # not for people who take network/ into other firmware
    network = [f"{name}/{path.name}" for name in _NETWORK_FOLDERS for path in (folder / name).glob("*.c")]
    sources = [*network, *_copy_kernels(folder, board.cpu.kernels, set(kernels))]
    shared = (*_SHARED_FOLDERS, board.cpu.architecture)
    for name in shared:
        sources += _copy(firmware_templates() / name, folder / name, name)
    shutil.copyfile(firmware_templates() / "LICENSE", folder / "LICENSE")
    (folder / "board").mkdir()
    for path in sorted(board.folder.glob("*.h")):
        _copy_file(path, folder / "board" / path.name)
    for name in board.firmware.sources:
        _copy_file(board.folder / name, folder / "board" / name)
        sources.append(f"board/{name}")
    (folder / "board" / "board_config.h").write_text(render("board_config.h.j2", board=board))
    vectors = firmware_templates() / board.cpu.architecture / "vectors.c.j2"
    (folder / VECTOR_TABLE).write_text(render(vectors, board=board))
    sources.append(VECTOR_TABLE)
    _check_headers(folder)
    include_folders = ("kernels/include", *_NETWORK_FOLDERS, *shared, "board")
    return Project(folder, tuple(sorted(sources)), include_folders)


def _check_headers(folder: Path) -> None:
    """StqError if a header of the network's own name hides another."""
    own = {path.name for path in (folder / "network").glob("*.h")}
    others = {path.name for path in folder.rglob("*.h") if path.parent != folder / "network"}
    hidden = sorted(own & others)
    if hidden:
        raise StqError(
            f"the network's header {hidden[0]} would hide another of that name",
            cause="the project has a file of that name already",
            next="give the network another name (`--name`)",
        )


def write_build_id(project: Project, compiler: Compiler, flags: Iterable[str]) -> str:
    """Hash what the image is made of and write it as a C source; returns the build id (hex).

    It covers every source and header, the linker script, the compiler's version and its flags.
    """
    digest = hashlib.sha256()
    for name in [*project.files(), LINKER_SCRIPT]:
        content = (project.folder / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    for text in (compiler.version, *flags):
        digest.update(text.encode() + b"\0")
    build_id = digest.digest()[:BUILD_ID_BYTES]
    words = [f"0x{byte:02x}" for byte in build_id]
    rows = [", ".join(words[i : i + 8]) for i in range(0, BUILD_ID_BYTES, 8)]
    (project.folder / BUILD_ID_SOURCE).write_text(render("build_id.c.j2", size=BUILD_ID_BYTES, rows=rows))
    return build_id.hex()


def write_linker_script(project: Project, board: Board, placement: Placement, memory_bytes: dict[str, int]) -> None:
    """Write `LINKER_SCRIPT`.

    Args:
        placement: of what has a choice.
        memory_bytes: memory -> the size to state for it; one of 0 is left out.
    """
    fixed = board.placement
    place = {
        "code": fixed.code,
        "stack": fixed.stack,
        "data": fixed.data,
        "arena": placement.memory_of("arena"),
        "scratch": placement.memory_of("scratch"),
    }
    memories, contents = [], placement.contents(board)
    for memory in board.memory:
        origin = contents.get(memory.name, memory.origin)
        size = memory.end - origin if memory.guard else memory_bytes[memory.name]
        if size:
            memories.append(memory.model_copy(update={"origin": origin, "bytes": size}))
    text = render(
        firmware_templates() / board.cpu.architecture / "linker.ld.j2",
        board=board,
        place=place,
        memories=memories,
        sections=placement.sections(board),
        contents=contents,
    )
    (project.folder / LINKER_SCRIPT).write_text(text)


def write_makefile(project: Project, board: Board, compiler: Compiler) -> None:
    """Write the Makefile with which a user can build the project without stq-deploy."""
    text = render(
        "Makefile.j2",
        project=project,
        board=board,
        compiler=compiler,
        sources=[*project.sources, BUILD_ID_SOURCE],
        cpu_flags=board.cpu.flags[compiler.family],
        linker_script=LINKER_SCRIPT,
        fast_sources=FAST_SOURCES,
    )
    (project.folder / "Makefile").write_text(text)


def _copy_kernels(folder: Path, variant: str, wanted: set[Kernel]) -> list[str]:
    """Copy and write what the network calls; returns the C files, relative to the project.

    A file is compiled if the network calls the kernel it is named after, or if it is named after none.
    """
    root = firmware_templates() / "kernels"
    for name in ("include", "include/internal"):
        _copy(root / name, folder / "kernels" / name, f"kernels/{name}")
    unwanted = {kernel.function for kernel in all_kernels()} - {kernel.function for kernel in wanted}
    chosen = [path for path in kernel_files(root, variant) if path.stem not in unwanted]
    folders = {path.parent for path in chosen} | {root / variant}
    for path in (*chosen, *(header for source in folders for header in source.glob("*.h"))):
        _copy_file(path, folder / "kernels" / path.parent.name / path.name)
    written = write_instances(folder / "kernels", root, variant, wanted)
    copied = [f"kernels/{path.parent.name}/{path.name}" for path in chosen]
    return [*copied, *(f"kernels/{path.name}" for path in written)]


def _copy(source: Path, target: Path, prefix: str) -> list[str]:
    """Copy a folder's C files and headers; returns the C files as `prefix/name`."""
    paths = sorted(p for p in source.iterdir() if p.suffix in (".c", ".h"))
    for path in paths:
        _copy_file(path, target / path.name)
    return [f"{prefix}/{path.name}" for path in paths if path.suffix == ".c"]


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
