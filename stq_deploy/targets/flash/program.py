"""Writes a built image to the right board, with an error for everything that can go wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stq_deploy.common.errors import StqError
from stq_deploy.common.file_kinds import not_wanted
from stq_deploy.targets.boards import Board
from stq_deploy.targets.flash import pyocd
from stq_deploy.targets.flash.ports import port_of_probe, usb_ports
from stq_deploy.toolchain.build_folder import REPORT, settle
from stq_deploy.toolchain.former_build import read_identity


@dataclass(frozen=True)
class Problem:
    """A failure message of pyocd, and its meaning.

    Attributes:
        pattern: searched in pyocd's output.
        what, cause, next: of the StqError; `{0}` in `what` is the pattern's first group.
    """

    pattern: str
    what: str
    cause: str
    next: str


PROBLEMS = (
    Problem(
        r"DEV_ID 0x([0-9a-fA-F]+) did not match",
        "the chip behind the probe is another one (device id 0x{0})",
        "the probe is wired to another board, or --board is wrong",
        "connect the board meant, choose another --probe, or build for the board that is there",
    ),
    Problem(
        r"(flash (?:init|erase|program)[a-z ]*(?:failure|timed out)[^\n]*)",
        "the chip refuses to be written: {0}",
        "its flash is protected (readout protection, RDP, or write protection)",
        "remove the protection with STM32CubeProgrammer (this erases the chip), then repeat",
    ),
    Problem(
        r"(Memory transfer fault[^\n]*)",
        "the chip does not let the probe at its memory: {0}",
        "it is locked (readout protection, RDP), or the probe loses contact",
        "power-cycle the board; if it persists, remove the protection with STM32CubeProgrammer",
    ),
    Problem(
        r"(No device connected|Get IDCODE error|No ACK|DP fault)",
        "the probe sees no chip ({0})",
        "the board has no power, or the jumpers between probe and chip are open",
        "check the board's power and jumpers, then repeat",
    ),
    Problem(
        r"(Resource busy|Already opened|already in use|Access denied|USB Error[^\n]*)",
        "the probe cannot be opened ({0})",
        "another program (a debugger, an IDE) uses it, or your user may not",
        "close that program; on Linux, install pyocd's udev rules (`stq-deploy doctor` checks)",
    ),
    Problem(
        r"No connected debug probe|No target device available",
        "the probe went away",
        "it was unplugged, or the USB cable is loose",
        "plug it in again and repeat",
    ),
    Problem(
        r"(Target type \S+ not recognized)",
        "pyocd does not know the chip ({0})",
        "this version of pyocd lacks it",
        "pip install --upgrade pyocd",
    ),
)


@dataclass(frozen=True)
class Flashed:
    """The written image, the probe, and the serial port that the probe provides, if any."""

    build_id: str
    probe: pyocd.Probe
    port: str | None


def flash_board(
    board: Board,
    build_folder: Path,
    probe_uid: str | None = None,
    writing: Callable[[pyocd.Probe], None] = lambda _: None,
) -> Flashed:
    """Write the image in `build_folder` to the connected board, and reset it.

    pyocd does not read back what it wrote; the build id that the firmware announces over the link shows it.

    Args:
        probe_uid: serial number of the probe, or a part that only one has; needed when there are several.
        writing: called after all checks, before anything is written.

    Raises:
        StqError: the board exists only as an emulation, or the folder has no build for it. Also if pyocd is missing,
            fails or hangs, or the probe is absent or ambiguous. Also if the chip is another one, locked, or does not
            answer.
    """
    if board.flash is None:
        raise StqError(
            f"board {board.name!r} exists only as an emulation: there is nothing to flash",
            next=f"stq-deploy run --board {board.name} --emulated ..., or flash another board (`stq-deploy boards`)",
        )
    image, build_id = _built_image(board, build_folder)
    probe = choose_probe(pyocd.list_probes(), probe_uid)
    writing(probe)
    done = pyocd.program(image, board.flash.target, probe.uid)
    if done.returncode != 0:
        raise _explain(done.stderr + done.stdout, probe)
    port = port_of_probe(board, probe.uid, usb_ports())
    return Flashed(build_id, probe, port.device if port else None)


def choose_probe(probes: list[pyocd.Probe], uid: str | None) -> pyocd.Probe:
    """The chosen probe: the only one, or the only one whose serial number contains `uid`.

    Raises:
        StqError: none, or several.
    """
    if not probes:
        raise StqError(
            "no debug probe is connected",
            cause="the board is not plugged in, or at its user USB port instead of the probe's; or, on Linux,"
            " your user may not open it",
            next="plug it in, then `stq-deploy boards --connected`; `stq-deploy doctor` checks permissions;"
            " without a board, use --emulated",
        )
    listed = "; ".join(f"{probe.uid} ({probe.description})" for probe in probes)
    matching = [probe for probe in probes if uid is None or uid.lower() in probe.uid.lower()]
    if not matching:
        raise StqError(f"no connected probe is {uid!r}", next=f"choose one of: {listed}", where="--probe")
    if len(matching) > 1:
        raise StqError(
            f"{len(matching)} debug probes are connected" + (f" that match {uid!r}" if uid else ""),
            cause="--probe does not single out one of them",
            next=f"name one with --probe: {listed}",
        )
    return matching[0]


def _built_image(board: Board, folder: Path) -> tuple[Path, str]:
    out = "FOLDER" if folder.is_file() else folder
    command = f"stq-deploy build --board {board.name} --out {out}"
    try:
        if not (folder / REPORT).is_file():
            known = not_wanted(folder, "the folder of a build", f"first: {command}") if folder.is_file() else None
            raise known or StqError("nothing has been built here", where=str(folder), next=f"first: {command}")
        settle(folder)
        identity = read_identity(folder)
    except OSError as error:
        raise StqError("the build cannot be read", where=str(folder), next=f"build again: {command}") from error
    image = folder / "firmware.elf"
    if identity.board != board.name:
        what = f"this was built for {identity.board!r}, not for {board.name!r}"
        raise StqError(what, where=str(folder), next=f"build again: {command}")
    if not image.is_file():
        raise StqError("the build lacks its firmware.elf", where=str(folder), next=f"build again: {command}")
    return image, identity.build_id


def _explain(output: str, probe: pyocd.Probe) -> StqError:
    for problem in PROBLEMS:
        match = re.search(problem.pattern, output)
        if match:
            detail = match.group(1) if match.groups() else ""
            return StqError(
                problem.what.format(detail),
                where=f"probe {probe.uid}",
                cause=problem.cause,
                next=problem.next,
            )
    lines = output.strip().splitlines()
    return StqError(
        f"pyocd failed: {lines[-1] if lines else 'without a word'}",
        where=f"probe {probe.uid}",
        next="power-cycle the board and repeat; `pyocd commander` shows whether the probe reaches the chip",
    )
