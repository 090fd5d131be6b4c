"""The firmware a run talks to: one that was built before, or one built now."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stq_deploy.boards import Board
from stq_deploy.errors import StqError
from stq_deploy.evaluation.memory_plan import read_memory_plan
from stq_deploy.evaluation.summary import Footprint
from stq_deploy.network import Network
from stq_deploy.toolchain.build import ELF, MANIFEST, REPORT, build_firmware

OWN_BUILD = "firmware"
"""Where a run builds, in its output folder."""

Progress = Callable[[str], None]
"""Told what is being done."""


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
    network: Network, board: Board, out: str | os.PathLike[str], progress: Progress = lambda _: None
) -> Firmware:
    """Build into `out`/firmware, replacing an earlier build there.

    Equal sources give an equal image, so the results of an interrupted run still belong to it.

    Raises:
        StqError: building fails.
    """
    result = build_firmware(network, board, Path(out) / OWN_BUILD, progress=progress)
    return _read_build(result.folder)[0]


def find_or_build(
    network: Network,
    board: Board,
    out: str | os.PathLike[str],
    progress: Progress = lambda _: None,
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
        for key, value in wanted.items():
            if report.get(key) != value:
                raise StqError(
                    f"the build there has {key} {report.get(key)}, not {value}",
                    where=str(folder),
                    next="build again with `stq-deploy build`, or choose another folder with --out",
                )
        return firmware
    usual = default_build_folder(board.name)
    if (usual / REPORT).is_file():
        firmware, report = _read_build(usual)
        if all(report.get(key) == value for key, value in wanted.items()):
            return firmware
    return build_afresh(network, board, out, progress)


def default_build_folder(board: str) -> Path:
    """Where `stq-deploy build` puts its builds."""
    return Path("build") / board


def _read_build(folder: Path) -> tuple[Firmware, dict[str, Any]]:
    path = folder / REPORT
    try:
        report = json.loads(path.read_text())
        manifest = json.loads((folder / MANIFEST).read_text())
        footprint = Footprint(
            flash=int(report["flash_bytes"]),
            ram=int(report["ram_bytes"]),
            stack=None if report["stack_bytes"] is None else int(report["stack_bytes"]),
            memory=read_memory_plan(report, manifest),
            qstats=int(report["size_figures"]["qstats_bytes"]),
            packed=int(report["size_figures"]["packed_bytes"]),
        )
        firmware = Firmware(folder / ELF, str(report["build_id"]), footprint, str(report["compiler"]["version"]))
        bytes.fromhex(firmware.build_id)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StqError(
            f"the build cannot be read ({type(error).__name__}: {error})",
            where=str(path),
            next="build again with `stq-deploy build`",
        ) from error
    if not firmware.elf.is_file():
        raise StqError("the image is missing", where=str(firmware.elf), next="build again with `stq-deploy build`")
    return firmware, report
