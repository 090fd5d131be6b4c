"""A run's results as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stq_deploy.cli._input import outside_text
from stq_deploy.cli._layout import light_table, print_table
from stq_deploy.cli._screen import plain
from stq_deploy.report.titles import reading_lines, row_title, scores_title, speed_of

if TYPE_CHECKING:
    from rich.console import Console

    from stq_deploy.evaluation.scores import Score
    from stq_deploy.evaluation.summary import Comparison, RunSummary


def print_results(console: Console, summary: RunSummary) -> None:
    """Print the scores side by side, the number of differing samples, and the task of the outputs.

    If the board differs from the reference, an error names the samples.
    """
    from stq_deploy.evaluation.agreement import disagreement

    table = light_table(scores_title(summary))
    table.add_column("samples")
    for column in ("count", "float model", "integer\nreference", "board", "board !=\nreference", "float !=\nreference"):
        table.add_column(column, justify="right")
    for one in summary.comparisons:
        table.add_row(
            plain(row_title(one)),
            str(len(one.samples)),
            "not recorded" if one.float_answers is None else score_text(one.float_score),
            score_text(one.reference_score),
            score_text(one.board_score),
            str(len(one.differing_predictions)),
            _float_difference(one),
        )
    print_table(console, table)
    outside, total = (
        sum(one.outside for one in summary.comparisons),
        sum(len(one.samples) for one in summary.comparisons),
    )
    console.print(f"{outside_text(outside, total)}.")
    for text in dict.fromkeys(line for one in summary.comparisons for line in reading_lines(one.scoring)):
        console.print(plain(text), soft_wrap=True)
    wrong = disagreement(summary.comparisons)
    if wrong is not None:
        for line in f"Error: {wrong}".splitlines():
            console.print(plain(line), soft_wrap=True)


def score_text(score: Score | None) -> str:
    """A score for a table's cell."""
    return "no labels" if score is None else str(score)


def _float_difference(one: Comparison) -> str:
    flips, difference = one.float_flips, one.float_difference
    if difference is not None:
        return f"rms {difference:.3g}"
    return "?" if flips is None else str(len(flips))


def print_costs(console: Console, summary: RunSummary) -> None:
    """Memory, instructions or cycles, and speed."""
    firmware = summary.firmware
    unit = "instructions" if summary.emulated else "cycles"
    stack = "not known" if firmware.stack_bytes is None else f"{firmware.stack_bytes:,} bytes at most"
    lines = [f"Flash {firmware.flash_bytes:,} bytes, RAM {firmware.ram_bytes:,} bytes, stack {stack}."]
    if summary.per_inference is not None:
        lines.append(f"{summary.per_inference:,} {unit} per inference.")
    if summary.samples_per_second is not None:
        lines.append(f"{summary.samples_per_second:.2f} samples per second, {speed_of(summary)}.")
    for line in lines:
        console.print(plain(line), soft_wrap=True)
