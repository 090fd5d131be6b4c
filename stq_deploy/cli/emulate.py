"""`stq-deploy emulate`: an emulated board for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from stq_deploy.cli._names import BOARD


@click.command(context_settings={"show_default": True})
@click.argument("elf", type=click.Path(path_type=Path))
@click.option("--board", type=BOARD, default="stm32h743", help="Board; `stq-deploy boards` lists them.")
@click.option(
    "--mode",
    type=click.Choice(["fast", "counting"]),
    default="fast",
    help="counting: the cycle counter counts executed instructions, and every access is checked; slower.",
)
@click.option("--revision", help="Silicon revision, a letter.  [default: the usual one]")
@click.option("--link", type=click.Path(path_type=Path), help="Make this a symbolic link to the serial port.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (the port) on stdout.")
def emulate(
    elf: Path, board: str, mode: Literal["fast", "counting"], revision: str | None, link: Path | None, as_json: bool
) -> None:
    """Run ELF, from `stq-deploy build`, on an emulated board until Ctrl-C.

    Prints the serial port to open, and every action of the program that the hardware would refuse, with its place. Exit
    code 1 if the program had to be stopped.
    """
    import time

    from stq_deploy.api.running_boards import boot
    from stq_deploy.cli._screen import human_console, plain, print_json
    from stq_deploy.targets.emulator.refusals import EmulatorRefusal

    console = human_console()

    def show(refusal: EmulatorRefusal) -> None:
        console.print(f"[red]refused:[/] {plain(str(refusal))}")

    try:
        with boot(elf, board, counting=mode == "counting", revision=revision, link=link, on_refusal=show) as emulated:
            if as_json:
                print_json({"port": emulated.port, "board": board, "mode": mode})
            else:
                click.echo(emulated.port)
            console.print(f"{plain(elf.name)} runs on an emulated {board}; Ctrl-C stops it")
            while emulated.is_alive:
                time.sleep(0.1)
            emulated.check()
    except KeyboardInterrupt:
        console.print("stopped")
