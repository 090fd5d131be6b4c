"""Names of a run's rows and figures in tables and pages."""

from __future__ import annotations

from pathlib import PurePath

from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.evaluation.summary import Comparison, RunSummary
from stq_deploy.research.attacks.registry import attack_title


def row_title(comparison: Comparison) -> str:
    """The attack's name; the sample file's name, where the file does not state its attack."""
    known = comparison.attack != "unknown"
    return attack_title(comparison.attack) if known else PurePath(comparison.source).stem


def speed_of(summary: RunSummary) -> str:
    """The machine whose speed the samples per second are."""
    if summary.emulated:
        return f"the emulator of {summary.board} on this computer, not the board's speed"
    return f"on the {summary.board}, over the link"


def reading_lines(scoring: Scoring) -> list[str]:
    """The reading of the outputs, with remarks."""
    return [f"scored as {scoring.description}", *(f"note: {note}" for note in scoring.notes)]


def scores_title(summary: RunSummary) -> str:
    """Names of the scores."""
    scores = [one.board_score for one in summary.comparisons if one.board_score is not None]
    text = ", ".join(dict.fromkeys(score.metric for score in scores)) or "outputs compared, not scored (no labels)"
    intervals = any(score.interval is not None for score in scores)
    return text[0].upper() + text[1:] + (", with Wilson 95 % intervals" if intervals else "")
