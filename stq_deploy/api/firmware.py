"""The firmware of a network: built, or taken up from a former build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stq_deploy.api.network import IntegerNetwork
from stq_deploy.api.types import PathLike
from stq_deploy.codegen.names import DEFAULT_NAME, checked_name
from stq_deploy.common.progress import Progress, silent
from stq_deploy.executors import firmware
from stq_deploy.report.write import build_pages
from stq_deploy.targets.boards import load_board
from stq_deploy.targets.boards.override import parse_places
from stq_deploy.toolchain.build import build_firmware
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.compilers import find_compiler


def build(
    net: IntegerNetwork,
    board: str = "stm32h743",
    out: PathLike | None = None,
    *,
    compiler: str | None = None,
    places: Sequence[str] = (),
    name: str = DEFAULT_NAME,
    command: str | None = None,
    title: str = "",
    progress: Progress = silent,
) -> BuiltFirmware:
    """Build the firmware of a network, as `stq-deploy build`.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    board : str
        A name that `stq-deploy boards` lists.
    out : path, optional
        Folder for the build, `build/BOARD` by default. A former build's files there are replaced, others stay.
    compiler : str, optional
        Path or name; by default the first that `stq-deploy doctor` finds.
    places : sequence of str
        `PART=MEMORY[,MEMORY...]`: where kernels, weights, arena or scratch go.
    name : str
        Name of the network in C: the prefix of its files, functions and macros.
    command : str, optional
        How the build was made, for a comment in the generated sources; this call by default.
    title : str
        Name for a model without one, on the page about the memory.
    progress : callable
        Called with (stage, done, total).

    Returns
    -------
    BuiltFirmware
        Sizes in bytes: `flash_bytes`, `ram_bytes` and `stack_bytes` of the image (None: no bound), `alone` of the
        network in a firmware of your own, `memories` one by one. Files: `folder`, `elf`, `bin`, `hex`, `map`.

    Raises
    ------
    StqError
        No compiler or board, the network does not fit, or the folder cannot be used.
    """
    found = load_board(board)
    if command is None:  # in the generated sources, so without folders: equal builds anywhere give equal bytes
        command = f"stq_deploy.build, board {found.name}" + "".join(f", {place}" for place in places)
    return build_firmware(
        net.program,
        found,
        firmware.default_build_folder(found.name) if out is None else out,
        compiler=find_compiler(compiler),
        command=command,
        places=parse_places(places),
        name=checked_name(name),
        pages=build_pages(title or net.name),
        progress=progress,
    )


def open_build(net: IntegerNetwork, folder: PathLike) -> BuiltFirmware:
    """Open a former build, made by `build` or a command.

    Parameters
    ----------
    net : IntegerNetwork
        The network that was built.
    folder : path
        The folder of the build.

    Raises
    ------
    StqError
        There is no build, it is damaged, or it is of another network or of another version of stq-deploy.
    """
    return firmware.open_build(net.program, Path(folder))


def find_or_build(net: IntegerNetwork, board: str, out: PathLike, *, progress: Progress = silent) -> BuiltFirmware:
    """The build in `out`, else that of `stq-deploy build` if it is of this network, else a new one in `out`.

    Parameters
    ----------
    net : IntegerNetwork
        From `convert` or `load`.
    board : str
        A name that `stq-deploy boards` lists.
    out : path
        Folder of a run.
    progress : callable
        As for `build`.

    Raises
    ------
    StqError
        The build in `out` is damaged, or of another network or board; or building fails.
    """
    return firmware.find_or_build(net.program, load_board(board), out, progress, build_pages(net.name))
