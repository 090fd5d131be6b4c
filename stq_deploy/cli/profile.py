"""`stq-deploy profile`: the time of each layer, by estimate and, on a board, by its counter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._kernels import KernelOptions, kernel_option
from stq_deploy.cli._names import BOARD, MODEL
from stq_deploy.cli._outcome import interruptible

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.cycles.profile import LayerProfile, Profile


@click.command(context_settings={"show_default": True})
@click.option("--board", "board_name", type=BOARD, default="stm32h743", help="Board; `stq-deploy boards` lists them.")
@click.option("--model", type=MODEL, default="zoo:stq-cifar10", help="A .stq network, a Keras model, or zoo:NAME.")
@click.option("--port", help="Serial port of a board that runs the build: its counts stand beside the estimate.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    help="Sample file (.npz); its first sample is run.  [default: a shipped sample of this shape, else seeded noise]",
)
@click.option("--listing", metavar="LAYER", help="Also list the layer's hottest code with the cycles of each line.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="A build in this folder, or in build/BOARD, is used; else one is made in it.  [default: out/BOARD]",
)
@kernel_option
@conversion_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def profile(
    board_name: str,
    model: str,
    port: str | None,
    samples: Path | None,
    listing: str | None,
    out: Path | None,
    kernels: KernelOptions,
    conversion: ConversionOptions,
    as_json: bool,
) -> None:
    """Estimate where the time of a network goes on a board, layer by layer.

    The layers of the built firmware run once on an emulated core. Instructions are exact. Cycles, milliseconds and
    energy are estimates, from a model of the core and simulated caches; docs/PROFILING.md states their errors. With
    --port, a board counts as well.
    """
    from contextlib import ExitStack

    from stq_deploy.api.firmware import find_or_build
    from stq_deploy.api.network import open_network
    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.common.files import locked, made_folder
    from stq_deploy.cycles.cores import core_model
    from stq_deploy.cycles.profile import profile_firmware
    from stq_deploy.evaluation.profiling import count_on_board, profiling_sample
    from stq_deploy.executors.firmware import held_build
    from stq_deploy.pipeline import Pipeline
    from stq_deploy.targets.boards import load_board

    board = load_board(board_name)
    core_model(board.cpu.core)
    asked = conversion.load()
    folder = out or Path("out") / board.name
    with interruptible("a build is kept; the same command starts again"), ExitStack() as held:
        held.enter_context(locked(held.enter_context(made_folder(folder))))
        progress = held.enter_context(progress_bars())
        net = open_network(model, kernels.applied(Pipeline(asked, progress=progress)))
        say_assumed_input(net.network)
        levels = profiling_sample(net.network, samples)
        firmware = find_or_build(net, board.name, folder, progress=progress)
        held.enter_context(held_build(firmware, folder))
        found = profile_firmware(firmware, board, levels, progress, listed=listing)
        if port is not None:
            found = found.beside(count_on_board(board, firmware, port, levels))
    if as_json:
        print_json(found.to_json() | {"build": str(firmware.folder)})
    else:
        _print(result_console(as_json), found)


def _print(console: Console, found: Profile) -> None:
    from stq_deploy.cli._layout import light_table, print_table
    from stq_deploy.cli._screen import plain

    mhz = found.board.clock.core_hz / 1e6
    counted = found.counted
    table = light_table(f"Estimate for {found.board.name}: {found.board.cpu.core} at {mhz:g} MHz")
    table.add_column("layer", overflow="fold")
    table.add_column("kernel", overflow="fold")
    for column in ("MACs", "instructions", "est. cycles", "est. ms", "est. c/MAC"):
        table.add_column(column, justify="right")
    table.add_column("bound by")
    if counted is not None:
        table.add_column(f"{counted.unit} counted", justify="right")
        table.add_column("estimate is off by" if counted.unit == "cycles" else "", justify="right")
    for index, one in enumerate(found.layers):
        table.add_row(plain(one.layer.name), one.layer.kernel, *_figures(found, one), *_counted(found, index, one))
    table.add_section()
    sums = (f"{found.macs:,}", f"{found.instructions:,}", f"{found.cycles:,}")
    per_mac = f"{found.cycles / found.macs:.3f}" if found.macs else ""
    table.add_row(
        "sum", "", *sums, f"{found.milliseconds(found.cycles):.3f}", per_mac, "", *_counted(found, None, None)
    )
    print_table(console, table)
    _print_alternatives(console, found)
    _print_listings(console, found)
    if found.millijoules is not None:
        console.print(f"Estimated energy: {found.millijoules:.3f} mJ an inference.")
    for note in found.notes:
        console.print(plain(note), soft_wrap=True)
    console.print(
        "Instructions are exact. Cycles and times are estimates, not measurements: docs/PROFILING.md.", soft_wrap=True
    )


def _figures(found: Profile, one: LayerProfile) -> tuple[str, ...]:
    largest = one.parts[one.bound] / max(one.cycles, 1)
    return (
        f"{one.layer.macs:,}" if one.layer.macs else "",
        f"{one.instructions:,}",
        f"{one.cycles:,}",
        f"{found.milliseconds(one.cycles):.3f}",
        "" if one.cycles_per_mac is None else f"{one.cycles_per_mac:.3f}",
        f"{one.bound} {100 * largest:.0f} %",
    )


def _counted(found: Profile, index: int | None, one: LayerProfile | None) -> tuple[str, ...]:
    """The cells with a board's counts for a layer, or for the sum; none without a board."""
    counted = found.counted
    if counted is None:
        return ()
    count = sum(counted.layers) if index is None else counted.layers[index]
    estimate = found.cycles if one is None else one.cycles
    error = f"{100 * (estimate / count - 1):+.1f} %" if counted.unit == "cycles" and count else ""
    return f"{count:,}", error


def _print_alternatives(console: Console, found: Profile) -> None:
    """Print the other kernels that can run a layer, with their estimated cost, for layers that have any."""
    from stq_deploy.cli._layout import light_table, print_table
    from stq_deploy.cli._screen import plain

    if not any(one.alternatives for one in found.layers):
        return
    table = light_table("Other kernels that could run a layer: --kernel LAYER=NAME")
    for column in ("layer", "kernel"):
        table.add_column(column, overflow="fold")
    for column in ("est. instructions", "weight bytes", "scratch bytes"):
        table.add_column(column, justify="right")
    for one in found.layers:
        for other in one.alternatives:
            estimate = "" if other.instructions is None else f"{other.instructions:,}"
            sizes = (f"{other.weight_bytes:,}", f"{other.scratch_bytes:,}")
            table.add_row(plain(one.layer.name), other.kernel, estimate, *sizes)
    print_table(console, table)


def _print_listings(console: Console, found: Profile) -> None:
    """Print the hottest code of the layers that the user named."""
    from stq_deploy.cli._screen import plain

    for one in found.layers:
        for block in one.hot_blocks:
            share = 100 * block.cycles / max(one.cycles, 1)
            per_run = block.cycles / max(block.runs, 1)
            console.print(
                f"{plain(one.layer.name)}: {share:.0f} % of its cycles, {block.runs:,} runs of {per_run:.1f} cycles",
                soft_wrap=True,
            )
            for line in block.lines:
                console.print(f"  {line.address:08x}  {line.cycles:4.1f}  {plain(line.text)}", soft_wrap=True)
