"""`stq-deploy flash`: write a built image to the connected board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._names import BOARD
from stq_deploy.cli._outcome import interruptible

if TYPE_CHECKING:
    from stq_deploy.targets.flash.pyocd import Probe


@click.command(context_settings={"show_default": True})
@click.option("--board", "board_name", type=BOARD, default="stm32h743", help="Board; `stq-deploy boards` lists them.")
@click.option("--probe", help="Serial number of the debug probe, or a part of it.  [default: the only one]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder that `stq-deploy build` wrote.  [default: build/BOARD]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def flash(board_name: str, probe: str | None, out: Path | None, as_json: bool) -> None:
    """Write the built firmware to a connected board and reset it."""
    from stq_deploy.cli._screen import human_console, plain, print_json
    from stq_deploy.targets.boards import load_board
    from stq_deploy.targets.flash.program import flash_board

    console = human_console()
    board = load_board(board_name)

    def tell(probe: Probe) -> None:
        console.print(f"Writing to {board.title} through probe {plain(probe.uid)} ...", soft_wrap=True)

    with interruptible("the board may hold a part of the program: flash it again"):
        done = flash_board(board, out or Path("build") / board.name, probe, tell)
    if as_json:
        print_json({"build_id": done.build_id, "probe": done.probe.uid, "port": done.port})
        return
    click.echo(f"Wrote build {done.build_id} through probe {done.probe.uid}; the board has been reset.")
    if done.port:
        click.echo(f"Serial port: {done.port}. Next: stq-deploy run --board {board.name} --port {done.port} ...")
    else:
        click.echo("No serial port has the probe's serial number; `stq-deploy boards --connected` lists them.")
