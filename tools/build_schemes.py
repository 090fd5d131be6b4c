"""The STQ network in every scheme of the paper's Table III: converted, built, every layer compared on all executors.

The weights are those of the shipped floating-point twin, put through each scheme's quantizers without training. So the
tool shows that every scheme deploys, its cost, and equal bytes on all executors. It measures no accuracy. The twin
itself deploys in int8, calibrated on the demo's clean samples.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole
from stq_deploy.datasets.samples import CLEAN, load_samples
from stq_deploy.evaluation.layer_comparison import compare_layers
from stq_deploy.evaluation.verification_samples import verification_inputs
from stq_deploy.executors.firmware import build_afresh
from stq_deploy.executors.open_executor import open_executor
from stq_deploy.executors.opened_boards import open_emulated
from stq_deploy.network import Network
from stq_deploy.pipeline import Conversion, PostTraining, convert_model
from stq_deploy.program import plan_network
from stq_deploy.research.training.result import save_model
from stq_deploy.research.training.source_model import take_weights
from stq_deploy.targets.boards import Board, load_board
from stq_deploy.toolchain.compilers import find_compiler
from stq_deploy.zoo.networks import build_network
from stq_deploy.zoo.schemes import SCHEMES, Scheme
from stq_deploy.zoo.shipped import shipped_samples
from stq_deploy.zoo.stq import VARIANTS
from tools.figures_file import check_figures, write_figures
from tools.marked_block import replace_block

TWIN = "zoo:fp-cifar10"
LOCAL = ("numpy", "host", "host-cortex-m7")
BYTES = ("qstats", "packed", "linked", "ram", "arena", "scratch")
COLUMNS = ("variant", "scheme", "weight bits", "layers", "differing", *BYTES, "fits")
BOTH = {"linked": "linked_bytes", "arena": "arena_bytes", "layers": "layers"}
"""Columns of the page that have a figure of the pooled and one of the strided network."""

PAGE, BLOCK = Path(__file__).resolve().parent.parent / "docs" / "DESIGN.md", "build_schemes"
ROW = "{:8} {:9} {:>11} {:>7} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8}  {}"


@click.command(context_settings={"show_default": True})
@click.option("--scheme", "schemes", type=click.Choice(list(SCHEMES)), multiple=True, help="[default: all]")
@click.option("--variant", "variants", type=click.Choice(VARIANTS), multiple=True, help="[default: all]")
@click.option("--board", "board_name", default="stm32h743", help="To build for, and to run on, emulated.")
@click.option("--samples", default=4, help="Samples that every layer is compared on.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the figures to this file.")
@click.option("--page", "writes_page", is_flag=True, help="Also write the table of docs/DESIGN.md; needs every scheme.")
def main(
    schemes: tuple[str, ...],
    variants: tuple[str, ...],
    board_name: str,
    samples: int,
    json_path: Path | None,
    writes_page: bool,
) -> None:
    """Convert, build and verify the STQ network in the schemes of Table III; sizes are in bytes."""
    try:
        check_figures(json_path)
        board, compiler = load_board(board_name), find_compiler().version
        click.echo(f"{board.name}, {compiler}; {samples} samples on {', '.join(LOCAL)} and the emulated board.")
        click.echo(ROW.format(*COLUMNS))
        rows = [
            _row(variant, SCHEMES[scheme], board, samples)
            for variant in variants or VARIANTS
            for scheme in schemes or SCHEMES
        ]
    except StqError as error:
        raise click.ClickException(str(error)) from error
    if json_path is not None:
        found = {"board": board.name, "compiler": compiler, "samples": samples, "rows": rows}
        write_figures(json_path, found)
    if writes_page:
        write_whole(PAGE, replace_block(PAGE.read_text(), BLOCK, page_table(rows)))
    sys.exit(1 if any(row["differing_layers"] for row in rows) else 0)


def page_table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: a line for each scheme, with the strided network's figures in parentheses."""
    found = {(row["variant"], row["scheme"]): row for row in rows}
    linked, arena, layers = (f"{name} (strided)" for name in BOTH)
    columns = ("scheme", "weight bits", "qstats", "packed", linked, arena, "scratch", layers)
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for scheme in dict.fromkeys(row["scheme"] for row in rows):
        pooled, strided = (found[variant, scheme] for variant in ("pooled", "strided"))
        linked, arena, layers = (f"{pooled[key]:,} ({strided[key]:,})" for key in BOTH.values())
        bits = " and ".join(map(str, pooled["weight_bits"]))
        title = pooled["title"] + ("" if SCHEMES[scheme].quantized else ", in int8 after training")
        cells = [title, bits, f"{pooled['qstats_bytes']:,}", f"{pooled['packed_bytes']:,}", linked, arena]
        cells += [f"{pooled['scratch_bytes']:,}", layers]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _row(variant: str, scheme: Scheme, board: Board, samples: int) -> dict[str, Any]:
    """One network's figures, printed as they come. A network that does not fit the board is run on the others."""
    with tempfile.TemporaryDirectory(prefix="stq-schemes-") as folder, ExitStack() as stack:
        network = _network(variant, scheme, Path(folder) / "model.h5")
        plan = plan_network(network)
        reference, *others = (stack.enter_context(open_executor(name, plan)) for name in LOCAL)
        size: dict[str, Any] = {}
        try:
            firmware = build_afresh(plan, board, folder)
            others += stack.enter_context(open_emulated(board, firmware))
            figures = firmware.figures
            size = {"qstats_bytes": figures.qstats_bytes, "packed_bytes": figures.packed_bytes}
            size |= {"linked_bytes": figures.linked_bytes}
            size |= {"ram_bytes": firmware.ram_bytes, "stack_bytes": firmware.stack_bytes}
            obstacle = ""
        except StqError as error:
            obstacle = str(error)
        compared = compare_layers(reference, others, verification_inputs(network, None, samples).levels)
    row = {
        "variant": variant,
        "scheme": scheme.name,
        "title": scheme.title,
        "weight_bits": network.weight_bits,
        "executors": [compared.reference, *compared.executors],
        "layers": len(compared.rows),
        "differing_layers": compared.differing_layers,
        "obstacle": obstacle,
        **size,
        "arena_bytes": plan.arena.bytes,
        "scratch_bytes": plan.scratch_bytes,
        "macs": plan.macs,
        "model_hash": network.sha256(),
    }
    bits = " and ".join(map(str, row["weight_bits"]))
    numbers = (f"{row[f'{name}_bytes']:,}" if f"{name}_bytes" in row else "-" for name in BYTES)
    click.echo(
        ROW.format(variant, scheme.title, bits, row["layers"], row["differing_layers"], *numbers, obstacle or "yes")
    )
    return row


def _network(variant: str, scheme: Scheme, path: Path) -> Network:
    """The twin's weights in this scheme; `path` is where its Keras model may be saved."""
    model = build_network(scheme=scheme, variant=variant)
    take_weights(model, TWIN)
    save_model(model, path)
    if scheme.quantized:
        return convert_model(path)
    return convert_model(path, Conversion(post_training=PostTraining(load_samples(shipped_samples()[CLEAN]))))


if __name__ == "__main__":
    main()
