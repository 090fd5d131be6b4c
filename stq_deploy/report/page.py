"""A run as one self-contained HTML page: tables, inline SVG, no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from stq_deploy import __version__
from stq_deploy.datasets.sample_metadata import AttackRecord, FloatModelRecord
from stq_deploy.datasets.samples import CLEAN
from stq_deploy.evaluation.scores import ErrorScore, Score
from stq_deploy.evaluation.summary import Comparison, RunSummary
from stq_deploy.report.charts import Bar, Column, accuracy_chart, confusion_chart, layer_chart
from stq_deploy.report.memory_page import memory_plan
from stq_deploy.report.network_chart import network_chart
from stq_deploy.report.page_templates import page_environment
from stq_deploy.report.pictures import Gallery, sample_galleries
from stq_deploy.report.titles import reading_lines, row_title, scores_title, speed_of

SERIES = ("Float model", "Integer reference", "Board")
_MOST_CLASSES_DRAWN = 40


def render_report(summary: RunSummary) -> str:
    """The page as text. Names and metadata are untrusted: the template escapes everything it prints."""
    unit = "instructions" if summary.emulated else "cycles"
    charts = {
        "accuracy": _accuracy_chart(summary),
        "layers": layer_chart([layer.name for layer in summary.layers], _columns(summary, unit)),
        "network": network_chart(summary.firmware.program.network),
        "confusions": [_confusion(c) for c in summary.comparisons],
    }
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            memory=memory_plan(summary.firmware),
            summary=summary,
            title=f"{summary.model} on {summary.board}{' (emulated)' if summary.emulated else ''}",
            origin=summary.origin,
            speed_of=speed_of(summary),
            rows=[_row(c) for c in summary.comparisons],
            files=[_sample_file(c) for c in summary.comparisons],
            intervals=any(score.interval for c in summary.comparisons for score in _scores(c)),
            attacked=any(c.attack not in (CLEAN, "unknown") for c in summary.comparisons),
            number="logit" if all(c.scoring.has_classes for c in summary.comparisons) else "output number",
            series=SERIES,
            scores_title=scores_title(summary),
            readings=list(dict.fromkeys(line for c in summary.comparisons for line in reading_lines(c.scoring))),
            unit=unit,
            version=__version__,
            charts={
                name: [Markup(svg) for svg in chart] if isinstance(chart, list) else Markup(chart)  # noqa: S704
                for name, chart in charts.items()
            },
        )
    )


def _accuracy_chart(summary: RunSummary) -> str:
    groups = [(row_title(c), _bars(c)) for c in summary.comparisons]
    return accuracy_chart(groups, SERIES, scores_title(summary)) if any(bars for _, bars in groups) else ""


def _bars(comparison: Comparison) -> list[Bar]:
    """The columns as shares 0 .. 1; none where the score is an error, which has no largest value."""
    columns = (comparison.float_score, comparison.reference_score, comparison.board_score)
    return [
        Bar(number, score.figure, *(score.interval or (score.figure, score.figure)), f"{SERIES[number]}: {score}")
        for number, score in enumerate(columns)
        if score is not None and score.figure is not None and not isinstance(score, ErrorScore)
    ]


def _scores(comparison: Comparison) -> Iterator[Score]:
    """The available scores; none where labels are needed and missing."""
    for score in (comparison.float_score, comparison.reference_score, comparison.board_score):
        if score is not None:
            yield score


def _columns(summary: RunSummary, unit: str) -> list[Column]:
    """The layers' measured cost, if any, beside their operations."""
    counts = [layer.instructions for layer in summary.layers]
    measured = [count for count in counts if count is not None]
    cost = [Column(unit.capitalize(), 2, measured)] if len(measured) == len(counts) else []
    return [*cost, Column("Multiply-accumulates", 0, [layer.macs for layer in summary.layers])]


def _confusion(comparison: Comparison) -> str:
    counts = comparison.confusion()
    if counts is None or len(counts) > _MOST_CLASSES_DRAWN:
        return ""
    names = _class_names(comparison, len(counts))
    return confusion_chart(counts.tolist(), names, f"{row_title(comparison)}: confusion matrix of the board")


def _class_names(comparison: Comparison, count: int) -> list[str]:
    names = comparison.samples.class_names
    if names is not None and len(names) == count:
        return [name[:24] for name in names]
    return [str(number) for number in range(count)]


@dataclass(frozen=True)
class _ReportRow:
    """A line of the table of scores: three scores, then the samples that differ."""

    attack: str
    samples: int
    float: str
    reference: str
    board: str
    predictions: int
    logits: int
    flips: str


def _row(comparison: Comparison) -> _ReportRow:
    return _ReportRow(
        attack=row_title(comparison),
        samples=len(comparison.samples),
        float="not recorded" if comparison.float_answers is None else _text(comparison.float_score),
        reference=_text(comparison.reference_score),
        board=_text(comparison.board_score),
        predictions=len(comparison.differing_predictions),
        logits=len(comparison.differing_logits),
        flips=_float_difference(comparison),
    )


def _float_difference(comparison: Comparison) -> str:
    flips, difference = comparison.float_flips, comparison.float_difference
    if difference is not None:
        return f"{difference:.3g} (root mean square)"
    return "not recorded" if flips is None else str(len(flips))


def _text(score: Score | None) -> str:
    return "no labels" if score is None else str(score)


_STAGES = {
    "clean": "float model, before the attack",
    "attacked": "float model, after the attack",
    "stored": "float model, after rounding to what the file stores",
    "after_input_quantisation": "float model, after the attack, on the network's input levels",
    "integer": "integer network, after the attack",
}
_NORMS = {
    "inf": "L-infinity: of one number",
    "2": "L2: length of the change",
    "1": "L1: sum over all numbers",
    "0": "L0: how many",
}


@dataclass(frozen=True)
class _ReportFile:
    """What a sample file states about itself, as short texts; all of it untrusted."""

    title: str
    source: str
    sha256: str
    facts: list[tuple[str, str]]
    changes: list[tuple[str, str]]
    galleries: list[Gallery]
    stages: list[tuple[str, str, int]]


def _sample_file(comparison: Comparison) -> _ReportFile:
    metadata = comparison.samples.metadata
    attack, recorded = metadata.attack or AttackRecord(), metadata.float_model or FloatModelRecord()
    facts = {
        "Threat model": _threat_model(comparison, attack),
        "Settings": _pairs(attack.settings),
        "Seed": _stated(metadata.seed),
        "Data set": _stated(metadata.dataset),
        "Versions": _pairs(metadata.versions),
    }
    if comparison.float_answers is None:
        facts["Float model"] = "the file records no predictions of this very model"
    return _ReportFile(
        title=row_title(comparison),
        source=comparison.source,
        sha256=comparison.samples.sha256(),
        facts=[(name, value) for name, value in facts.items() if value],
        changes=_named(attack.largest_change, _NORMS),
        galleries=sample_galleries(comparison, _class_names(comparison, comparison.scoring.classes)),
        stages=[(name, value, comparison.in_file) for name, value in _named(recorded.correct, _STAGES)],
    )


def _threat_model(comparison: Comparison, attack: AttackRecord) -> str:
    if comparison.attack == CLEAN:
        return "none: the samples are not attacked"
    stated = attack.threat_model
    return "the file does not say how its samples were made" if stated is None else stated


def _stated(value: str | int | None) -> str:
    return "not stated" if value is None else str(value)


def _named(stated: Mapping[str, object] | None, names: dict[str, str]) -> list[tuple[str, str]]:
    """Entries of an object by the names that people know, in the names' order; entries of other names last."""
    entries = stated or {}
    keys = [key for key in names if key in entries] + [key for key in entries if key not in names]
    return [(names.get(key, key), _number(entries[key])) for key in keys]


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _pairs(stated: Mapping[str, object] | None) -> str:
    return ", ".join(f"{k} {_number(v)}" for k, v in (stated or {}).items())
