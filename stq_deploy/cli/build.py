"""`stq-deploy build`: firmware of a network for a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stq_deploy.cli._conversion import ConversionOptions, conversion_options
from stq_deploy.cli._kernels import KernelOptions, kernel_option
from stq_deploy.cli._names import BOARD, MODEL
from stq_deploy.cli._outcome import interruptible
from stq_deploy.cli._rewrites import RewriteOptions, rewrite_options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from stq_deploy.program import Program
    from stq_deploy.toolchain.built import BuiltFirmware
    from stq_deploy.toolchain.placement import Placement
    from stq_deploy.toolchain.size_figures import SizeFigures


@click.command(context_settings={"show_default": True})
@click.option("--board", "board_name", type=BOARD, default="stm32h743", help="Board; `stq-deploy boards` lists them.")
@click.option("--model", type=MODEL, default="zoo:stq-cifar10", help="A .stq network, a Keras model, or zoo:NAME.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the build. A former build's files there are replaced, others stay.  [default: build/BOARD]",
)
@click.option(
    "--compiler",
    help="Path or name of the compiler.  [default: $STQ_DEPLOY_CC, else the one that `stq-deploy doctor` names]",
)
@click.option(
    "--place",
    "places",
    multiple=True,
    metavar="PART=MEMORY[,MEMORY...]",
    help="Where kernels, weights, arena or scratch go: the first of these memories with room. May be given for each.",
)
@click.option(
    "--name",
    metavar="PREFIX",
    help="What the network is called in C: the prefix of its files, functions and macros.  [default: stq_model]",
)
@kernel_option
@conversion_options
@rewrite_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
def build(
    board_name: str,
    model: str,
    out: Path | None,
    compiler: str | None,
    places: tuple[str, ...],
    name: str | None,
    kernels: KernelOptions,
    conversion: ConversionOptions,
    rewrites: RewriteOptions,
    as_json: bool,
) -> None:
    """Build the firmware of a network for a board.

    Writes firmware.elf, .bin, .hex and .map, build.json, memory.html, and the C project they come from, which
    `make` builds without this tool. Prints flash and RAM by memory and by layer, what lies where and why, and the
    worst-case stack.
    """
    from stq_deploy.api.firmware import build as build_network
    from stq_deploy.api.network import open_network
    from stq_deploy.cli._input import say_assumed_input
    from stq_deploy.cli._screen import print_json, progress_bars, result_console
    from stq_deploy.codegen.names import DEFAULT_NAME, checked_name
    from stq_deploy.program.options import kernel_options
    from stq_deploy.report.write import MEMORY_PAGE
    from stq_deploy.targets.boards import load_board

    board = load_board(board_name)
    # Named in the generated sources, so without folders: equal builds anywhere give equal bytes.
    command = f"stq-deploy build --board {board.name} --model {Path(model).name}"
    command += "".join(f" --place {place}" for place in places)
    command += f" --name {checked_name(name)}" if name else ""
    command += kernels.command + rewrites.command
    rewrites.check()
    kept = "a former build in the folder is as it was; the same command starts again"
    with interruptible(kept), progress_bars() as progress:
        net = open_network(model, kernels.applied(rewrites.pipeline(conversion, progress, as_json)))
        say_assumed_input(net.network)
        result = build_network(
            net,
            board.name,
            out,
            compiler=compiler,
            places=places,
            name=name or DEFAULT_NAME,
            command=command,
            title=Path(model).name,
            progress=progress,
        )
    page = result.folder / MEMORY_PAGE
    if as_json:
        program = result.program
        arena = {
            "bytes": program.arena.bytes,
            "lower_bound": program.arena.lower_bound,
            "order_lower_bound": program.arena.order_lower_bound,
            "scratch_bytes": program.separate_scratch_bytes,
            "holds_scratch": bool(program.arena.scratch),
        }
        choices = [option.to_json() for option in kernel_options(program)]
        print_json(result.to_json() | {"folder": str(result.folder), "arena": arena, "kernel_choices": choices})
    else:
        console = result_console(as_json)
        rewrites.print_effects(console, net)
        _print(console, result)
        console.print(f"Memory, drawn: {page}", soft_wrap=True)


def _print(console: Console, result: BuiltFirmware) -> None:
    from stq_deploy.cli._layout import light_table

    console.print(_sizes(result))
    layers = light_table("Layers (bytes; RAM: tensors in use and scratch)")
    layers.add_column("layer", overflow="fold")
    layers.add_column("op")
    for column in ("MACs", "weights", "tables", "RAM"):
        layers.add_column(column, justify="right")
    for layer in result.layers:
        sizes = (layer.macs, layer.weight_bytes, layer.table_bytes, layer.ram_bytes)
        layers.add_row(_plain(layer.name), layer.op, *(f"{n:,}" for n in sizes))
    layers.add_section()
    sums = (sum(getattr(layer, name) for layer in result.layers) for name in ("macs", "weight_bytes", "table_bytes"))
    layers.add_row("sum", "", *(f"{n:,}" for n in sums), "")
    console.print(layers)
    kernels = {layer.kernel: layer.kernel_bytes for layer in result.layers}
    console.print("Kernels: " + ", ".join(f"{name} {size:,}" for name, size in sorted(kernels.items())))
    console.print(_choices(result))
    console.print(
        "Balanced: one percent of time is worth one percent of flash, or ten percent of RAM. Copies of code and "
        "constants in faster memory are weighed likewise, unless kernels are chosen for speed."
    )

    memories = light_table("Memories (bytes)")
    memories.add_column("memory")
    for column in ("used", "of", "%"):
        memories.add_column(column, justify="right")
    memories.add_column("what", overflow="fold")
    for use in result.memories:
        parts = ", ".join(f"{name} {size:,}" for name, size in use.sections.items())
        share = f"{100 * use.used_bytes / use.bytes:.1f}"
        memories.add_row(use.name, f"{use.used_bytes:,}", f"{use.bytes:,}", share, parts)
    console.print(memories)

    console.print(_placement(result.placement))
    console.print(f"Copies of code and constants in faster memory: {result.copied_bytes:,} bytes of the RAM.")
    arena = result.program.arena
    console.print(
        f"Arena {arena.bytes:,} bytes; at least {arena.lower_bound:,} with the layers in this order, "
        f"{arena.order_lower_bound:,} in any. {_scratch(result.program)}"
    )
    console.print(_figures(result.figures))
    if result.stack:
        stack = result.stack
        console.print(
            f"Stack: at most {stack.bytes:,} bytes ({stack.program_bytes:,} along {' > '.join(stack.path)};"
            f" {stack.interrupt_bytes:,} for an interrupt). Assumed: {'; '.join(stack.assumptions)}."
        )
    else:
        console.print(f"Stack: no bound ({result.stack_reason}).")
    console.print(f"Built with {result.compiler_version}; build id {result.build_id}.")
    console.print(f"Firmware: {result.elf}", soft_wrap=True)


def _scratch(program: Program) -> str:
    if program.arena.scratch:
        return f"It holds the kernels' scratch memory, of at most {program.scratch_bytes:,} bytes for a layer."
    return f"Scratch memory besides: {program.separate_scratch_bytes:,}."


def _sizes(result: BuiltFirmware) -> Table:
    from stq_deploy.cli._layout import light_table

    table = light_table("Size (bytes)")
    table.add_column("")
    for column in ("flash", "RAM", "of it arena", "scratch", "stack"):
        table.add_column(column, justify="right")
    alone = result.alone
    memory = (f"{alone.arena_bytes:,}", f"{alone.scratch_bytes:,}")
    for name, flash, ram, stack in (
        ("network alone, in your own firmware", alone.flash_bytes, alone.ram_bytes, alone.stack_bytes),
        ("this firmware: link, start-up, stack, copies", result.flash_bytes, result.ram_bytes, result.stack_bytes),
    ):
        table.add_row(name, f"{flash:,}", f"{ram:,}", *memory, "no bound" if stack is None else f"{stack:,}")
    return table


def _choices(result: BuiltFirmware) -> Table:
    from stq_deploy.cli._layout import light_table
    from stq_deploy.program.options import kernel_options
    from stq_deploy.targets.boards import load_board

    clock = load_board(result.board).clock.core_hz
    table = light_table(
        "Choices of kernels, by estimate: flash of constants and kernels, RAM of tensors and scratch, time"
    )
    for column in ("flash", "RAM", "ms"):
        table.add_column(column, justify="right")
    table.add_column("--optimize")
    table.add_column("kernels that differ", overflow="fold")
    for option in kernel_options(result.program):
        names = [*option.suits, *(["taken"] if option.is_chosen else [])]
        kernels = ", ".join(f"{_plain(layer)} {function}" for layer, function in option.kernels.items())
        sizes = (f"{option.flash_bytes:,}", f"{option.ram_bytes:,}")
        table.add_row(*sizes, f"{1e3 * option.cycles / clock:,.1f}", ", ".join(names), kernels)
    return table


def _placement(placement: Placement) -> Table:
    from stq_deploy.cli._layout import light_table

    table = light_table("What lies where; accesses are bytes, of code MACs, per inference")
    table.add_column("part", overflow="fold")
    for column in ("bytes", "accesses", "per byte"):
        table.add_column(column, justify="right")
    table.add_column("memory")
    table.add_column("why", overflow="fold")
    for placed, memory in placement.rows():
        parts = [one.part for one in placed]
        size, accesses = sum(part.bytes for part in parts), sum(part.accesses for part in parts)
        if parts[0].group == "kernels":
            name, density = f"{len(parts)} functions that an inference runs", ""
        else:
            names = ", ".join(_plain(part.name) for part in parts)
            name = f"constants of {names}" if parts[0].group == "weights" else names
            density = f"{accesses / max(size, 1):,.1f}"
        table.add_row(name, f"{size:,}", f"{accesses:,}" if density else "", density, memory, placed[0].reason)
    return table


def _figures(figures: SizeFigures) -> Table:
    from stq_deploy.cli._layout import light_table

    table = light_table("Size of the network, by convention")
    for column in ("figure", "what it counts"):
        table.add_column(column, overflow="fold")
    for column in ("bytes", "KiB"):
        table.add_column(column, justify="right")
    for name, what, size in (
        ("qstats", "weights x bits, depthwise ones as k*k*C*C, no batch norm: the papers' unit", figures.qstats_bytes),
        ("packed", "weights as they lie in flash", figures.packed_bytes),
        ("", "requantization and look-up tables", figures.table_bytes),
        ("", "kernels, link, start-up, layer descriptions", figures.other_bytes),
        ("linked", "flash of the image: these three", figures.linked_bytes),
    ):
        table.add_row(name, what, f"{size:,}", f"{size / 1024:,.1f}")
    return table


def _plain(text: str) -> str:
    """A model's text without control characters, and without rich's markup."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else "?" for c in text))
