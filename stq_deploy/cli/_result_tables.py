"""A run's results as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from stq_deploy.attacks.registry import attack_title
from stq_deploy.cli._input import outside_text
from stq_deploy.cli._layout import print_table
from stq_deploy.cli._screen import plain

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.evaluation.summary import RunSummary


def print_results(console: Console, summary: RunSummary) -> None:
    """Accuracies side by side, and how many samples differ."""
    table = Table(title="Top-1, with Wilson 95 % intervals", title_justify="left")
    table.add_column("samples")
    for column in (
        "count",
        "float model",
        "integer reference",
        "board",
        "board != reference",
        "float != reference",
    ):
        table.add_column(column, justify="right")
    for one in summary.comparisons:
        flips = one.float_flips
        table.add_row(
            plain(attack_title(one.attack)),
            str(len(one.samples)),
            "not recorded" if one.float_accuracy is None else str(one.float_accuracy),
            str(one.reference_accuracy),
            str(one.board_accuracy),
            str(len(one.differing_predictions)),
            "?" if flips is None else str(len(flips)),
        )
    print_table(console, table)
    outside, total = (
        sum(one.outside for one in summary.comparisons),
        sum(len(one.samples) for one in summary.comparisons),
    )
    console.print(f"{outside_text(outside, total)}.")
    wrong = sum(len(one.differing_logits) for one in summary.comparisons)
    if wrong:
        console.print(f"The logits of {wrong} samples differ: `stq-deploy verify` finds the layer.")


def print_costs(console: Console, summary: RunSummary) -> None:
    """Memory, instructions or cycles, and speed."""
    footprint = summary.footprint
    unit = "instructions" if summary.emulated else "cycles"
    stack = "not known" if footprint.stack is None else f"{footprint.stack:,} bytes at most"
    lines = [f"Flash {footprint.flash:,} bytes, RAM {footprint.ram:,} bytes, stack {stack}."]
    if summary.per_inference is not None:
        lines.append(f"{summary.per_inference:,} {unit} per inference.")
    if summary.samples_per_second is not None:
        kind = f"emulated {summary.board}" if summary.emulated else summary.board
        lines.append(f"{summary.samples_per_second:.2f} samples per second on the {kind}, over the link.")
    for line in lines:
        console.print(plain(line), soft_wrap=True)
