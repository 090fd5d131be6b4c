"""A run's tables as CSV, for spreadsheets and papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from stq_deploy.evaluation.scores import Score
from stq_deploy.evaluation.summary import RunSummary
from stq_deploy.report.titles import row_title

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def results_csv(summary: RunSummary) -> str:
    """A line per sample file: scores with their intervals, and how many samples differ."""
    columns = ("float", "reference", "board")
    head = ["samples", "source", "count", "task", "metric"]
    head += [f"{name}{part}" for name in columns for part in ("", "_low", "_high")]
    head += ["board_reference_mismatches", "board_reference_output_mismatches", "float_reference_mismatches"]
    rows = []
    for one in summary.comparisons:
        scores = (one.float_score, one.reference_score, one.board_score)
        flips, board = one.float_flips, one.board_score
        rows.append(
            [
                row_title(one), one.source, len(one.samples), str(one.scoring.task), board.metric if board else "",
                *(number for score in scores for number in _numbers(score)),
                len(one.differing_predictions), len(one.differing_logits), "" if flips is None else len(flips),
            ]
        )  # fmt: skip
    return _csv(head, rows)


def layers_csv(summary: RunSummary) -> str:
    """A line per layer: multiply-accumulates, and instructions or cycles where they were measured."""
    unit = "instructions" if summary.emulated else "cycles"
    rows = [
        [layer.name, layer.op, layer.macs, "" if layer.instructions is None else layer.instructions]
        for layer in summary.layers
    ]
    return _csv(["layer", "op", "macs", unit], rows)


def _numbers(score: Score | None) -> tuple[object, object, object]:
    if score is None or score.figure is None:
        return "", "", ""
    low, high = score.interval or ("", "")
    return score.figure, low, high


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(head)
    lines.writerows([_harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def _harmless(cell: object) -> object:
    """Untrusted text that a spreadsheet would take for a formula gets a quote before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
