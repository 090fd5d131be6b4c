"""The firmware of a run: a former build, or a new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import locked, resolved
from stq_deploy.common.progress import Progress, silent
from stq_deploy.program import Program
from stq_deploy.targets.boards import Board
from stq_deploy.toolchain.build import Pages, build_firmware
from stq_deploy.toolchain.build_folder import REPORT, roll_back
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.former_build import is_built_from, network_name, read_build, read_identity

OWN_BUILD = "firmware"
"""Folder of a run's build, in its output folder."""
_SHOWN_DIGITS = 12


def build_afresh(
    program: Program,
    board: Board,
    out: str | os.PathLike[str],
    progress: Progress = silent,
    pages: Pages | None = None,
) -> BuiltFirmware:
    """Build into `out`/firmware, replacing an earlier build there.

    Equal sources give an equal image, so the results of an interrupted run still belong to it.

    Args:
        pages: makes further files for the build's folder.

    Raises:
        StqError: building fails.
    """
    return build_firmware(program, board, Path(out) / OWN_BUILD, pages=pages, progress=progress)


def find_or_build(
    program: Program,
    board: Board,
    out: str | os.PathLike[str],
    progress: Progress = silent,
    pages: Pages | None = None,
) -> BuiltFirmware:
    """The build in `out`; else that in `stq-deploy build`'s own folder, if of this program; else a new one.

    A flashed board must run exactly the host's build, so an existing build comes first.

    Raises:
        StqError: the build in `out` is of another program or board, or is damaged; or building fails.
    """
    folder = Path(out)
    if (folder / REPORT).is_file():
        return open_build(program, folder, board.name)
    usual = default_build_folder(board.name)
    if (usual / REPORT).is_file():
        roll_back(usual)
        there = read_identity(usual)
        same = (there.board, there.model_hash) == (board.name, program.network.sha256())
        if same and is_built_from(usual, program):
            return read_build(usual, program)
    return build_afresh(program, board, out, progress, pages)


def open_build(program: Program, folder: Path, board: str | None = None) -> BuiltFirmware:
    """The build in a folder.

    Args:
        board: the board it must be for; None for any.

    Raises:
        StqError: there is none, it is damaged, or it is of another program or board.
    """
    network = program.network
    model_hash = network.sha256()
    if (folder / REPORT).is_file():
        roll_back(folder)
    there = read_identity(folder)
    if board is not None and there.board != board:
        raise _other_build(folder, f"for the board {there.board!r}", f"for {board!r}")
    if there.model_hash != model_hash:
        other = _named(network_name(folder), there.model_hash)
        here = _named(network.name, model_hash)
        raise _other_build(folder, f"of another network, {other}", f"of {here}")
    if not is_built_from(folder, program):
        other = "with other kernels or places, by other --kernel options or another version of stq-deploy"
        raise _other_build(folder, f"of this network {other}", "ours")
    return read_build(folder, program)


@contextmanager
def held_build(firmware: BuiltFirmware, out: Path) -> Iterator[None]:
    """Keep the build from being replaced while it runs: emulated boards read it whenever they start.

    Args:
        out: the run's folder, which the run holds already; the build may be the one in it.

    Raises:
        StqError: it is being replaced right now.
    """
    folder = resolved(firmware.elf.parent)
    if folder == resolved(out):
        yield
        return
    with locked(folder, shared=True):
        yield


def default_build_folder(board: str) -> Path:
    """Default folder of `stq-deploy build`."""
    return Path("build") / board


def _other_build(folder: Path, there: str, here: str) -> StqError:
    return StqError(
        f"the build there is {there}, not {here}",
        where=str(folder),
        next="build again with `stq-deploy build`, or choose another folder with --out",
    )


def _named(name: str, model_hash: str) -> str:
    """A network for people: its name, and enough of its hash to distinguish two."""
    return f"{name or 'unnamed'!r} ({model_hash[:_SHOWN_DIGITS]})"
