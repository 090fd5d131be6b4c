"""The firmware a run talks to: one that was built before, or one built now."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stq_deploy.boards import Board
from stq_deploy.errors import StqError
from stq_deploy.evaluation.checked_json import Checked
from stq_deploy.evaluation.memory_plan import read_memory_plan
from stq_deploy.evaluation.summary import Footprint
from stq_deploy.files import MAXIMUM_JSON_BYTES, locked, read_bounded, resolved
from stq_deploy.network import Network
from stq_deploy.progress import Progress, silent
from stq_deploy.toolchain.build import ELF, MANIFEST, Pages, build_firmware
from stq_deploy.toolchain.build_folder import REPORT, roll_back

OWN_BUILD = "firmware"
"""Folder of a run's build, in its output folder."""
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Firmware:
    """A built image.

    Attributes:
        elf: path of the ELF.
        build_id: hex; what the board will announce.
        footprint: what it takes.
        compiler: version text.
    """

    elf: Path
    build_id: str
    footprint: Footprint
    compiler: str


def build_afresh(
    network: Network,
    board: Board,
    out: str | os.PathLike[str],
    progress: Progress = silent,
    pages: Pages | None = None,
) -> Firmware:
    """Build into `out`/firmware, replacing an earlier build there.

    Equal sources give an equal image, so the results of an interrupted run still belong to it.

    Args:
        pages: makes further files for the build's folder.

    Raises:
        StqError: building fails.
    """
    result = build_firmware(network, board, Path(out) / OWN_BUILD, pages=pages, progress=progress)
    return _read_build(result.folder)[0]


def find_or_build(
    network: Network,
    board: Board,
    out: str | os.PathLike[str],
    progress: Progress = silent,
    pages: Pages | None = None,
) -> Firmware:
    """The build in `out`; else that in `stq-deploy build`'s own folder, if of this network; else a new one.

    A board that was flashed must run the very build the host knows, so an existing one comes first.

    Raises:
        StqError: the build in `out` is of another network or board, or is damaged; or building fails.
    """
    wanted = {"model_hash": network.sha256(), "board": board.name}
    folder = Path(out)
    if (folder / REPORT).is_file():
        firmware, report = _read_build(folder)
        if report.get("board") != board.name:
            raise _other_build(folder, f"for the board {report.get('board')!r}", f"for {board.name!r}")
        if report.get("model_hash") != wanted["model_hash"]:
            there = _named(_network_name(folder), str(report.get("model_hash")))
            here = _named(str(network.metadata.get("name", "")), wanted["model_hash"])
            raise _other_build(folder, f"of another network, {there}", f"of {here}")
        return firmware
    usual = default_build_folder(board.name)
    if (usual / REPORT).is_file():
        firmware, report = _read_build(usual)
        if all(report.get(key) == value for key, value in wanted.items()):
            return firmware
    return build_afresh(network, board, out, progress, pages)


@contextmanager
def held_build(firmware: Firmware, out: Path) -> Iterator[None]:
    """Nobody replaces the build while it runs: emulated boards read it whenever they start.

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


def _network_name(folder: Path) -> str:
    """The network that was built, where the manifest states it."""
    try:
        manifest = json.loads(read_bounded(folder / MANIFEST, MAXIMUM_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return ""
    metadata = manifest.get("network_metadata") if isinstance(manifest, dict) else None
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _read_build(folder: Path) -> tuple[Firmware, dict[str, Any]]:
    roll_back(folder)
    path = folder / REPORT
    try:
        report = json.loads(read_bounded(path, MAXIMUM_JSON_BYTES))
        manifest = json.loads(read_bounded(folder / MANIFEST, MAXIMUM_JSON_BYTES))
        build = Checked(report)
        figures, stack = build.at("size_figures"), build.at("stack_bytes")
        footprint = Footprint(
            flash=build.at("flash_bytes").count(),
            ram=build.at("ram_bytes").count(),
            stack=None if stack.value is None else stack.count(),
            memory=read_memory_plan(report, manifest),
            qstats=figures.at("qstats_bytes").count(),
            packed=figures.at("packed_bytes").count(),
        )
        firmware = Firmware(
            folder / ELF, build.at("build_id").text(), footprint, build.at("compiler").at("version").text()
        )
        bytes.fromhex(firmware.build_id)
    except (OSError, ValueError, RecursionError) as error:
        raise StqError(
            f"the build cannot be read ({type(error).__name__}: {error})",
            where=str(path),
            next="build again with `stq-deploy build`",
        ) from error
    if not firmware.elf.is_file():
        raise StqError("the image is missing", where=str(firmware.elf), next="build again with `stq-deploy build`")
    return firmware, report
