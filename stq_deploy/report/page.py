"""A run as one self-contained HTML page: tables, inline SVG, no scripts, nothing fetched."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from stq_deploy import __version__
from stq_deploy.attacks.registry import attack_title
from stq_deploy.evaluation.scores import Accuracy
from stq_deploy.evaluation.summary import Comparison, RunSummary
from stq_deploy.report.charts import Bar, Column, accuracy_chart, confusion_chart, layer_chart
from stq_deploy.report.memory_page import memory_context
from stq_deploy.report.page_templates import page_environment

SERIES = ("Float model", "Integer reference", "Board")
_MOST_CLASSES_DRAWN = 40


def render_report(summary: RunSummary) -> str:
    """The page as text. Names and metadata are untrusted: the template escapes everything it prints."""
    unit = "instructions" if summary.emulated else "cycles"
    charts = {
        "accuracy": accuracy_chart([(attack_title(c.attack), _bars(c)) for c in summary.comparisons], SERIES),
        "layers": layer_chart([layer.name for layer in summary.layers], _columns(summary, unit)),
        "confusions": [_confusion(c) for c in summary.comparisons],
    }
    plan = summary.footprint.memory
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            **(memory_context(plan) if plan else {"plan": None}),
            summary=summary,
            rows=[_row(c) for c in summary.comparisons],
            files=[_provenance(c) for c in summary.comparisons],
            series=SERIES,
            unit=unit,
            version=__version__,
            charts={
                name: [Markup(svg) for svg in chart] if isinstance(chart, list) else Markup(chart)  # noqa: S704
                for name, chart in charts.items()
            },
        )
    )


def _bars(comparison: Comparison) -> list[Bar]:
    columns = (comparison.float_accuracy, comparison.reference_accuracy, comparison.board_accuracy)
    return [
        Bar(number, accuracy.share, *accuracy.interval, f"{SERIES[number]}: {accuracy}")
        for number, accuracy in enumerate(columns)
        if accuracy is not None
    ]


def _columns(summary: RunSummary, unit: str) -> list[Column]:
    """What the layers cost, if it was measured, beside what they compute."""
    counts = [layer.instructions for layer in summary.layers]
    measured = [count for count in counts if count is not None]
    cost = [Column(unit.capitalize(), 2, measured)] if len(measured) == len(counts) else []
    return [*cost, Column("Multiply-accumulates", 0, [layer.macs for layer in summary.layers])]


def _confusion(comparison: Comparison) -> str:
    names = _class_names(comparison)
    if len(names) > _MOST_CLASSES_DRAWN:
        return ""
    counts = comparison.confusion(len(names)).tolist()
    return confusion_chart(counts, names, f"{attack_title(comparison.attack)}: confusion matrix of the board")


def _class_names(comparison: Comparison) -> list[str]:
    count = max(comparison.board.shape[1], int(comparison.samples.y.max()) + 1)
    names = comparison.samples.metadata.get("class_names")
    if isinstance(names, list) and len(names) == count:
        return [str(name)[:24] for name in names]
    return [str(number) for number in range(count)]


def _row(comparison: Comparison) -> dict[str, Any]:
    flips = comparison.float_flips
    return {
        "attack": attack_title(comparison.attack),
        "samples": len(comparison.samples),
        "float": _text(comparison.float_accuracy),
        "reference": _text(comparison.reference_accuracy),
        "board": _text(comparison.board_accuracy),
        "predictions": len(comparison.differing_predictions),
        "logits": len(comparison.differing_logits),
        "flips": "unknown" if flips is None else len(flips),
    }


def _text(accuracy: Accuracy | None) -> str:
    return "not recorded" if accuracy is None else str(accuracy)


def _provenance(comparison: Comparison) -> dict[str, Any]:
    """What the sample file says of itself, flattened to short texts."""
    metadata = comparison.samples.metadata
    attack = _object(metadata.get("attack"))
    float_model = _object(metadata.get("float_model"))
    return {
        "title": attack_title(comparison.attack),
        "source": comparison.source,
        "sha256": comparison.samples.sha256(),
        "threat_model": str(attack.get("threat_model", "not stated")),
        "settings": _pairs(attack.get("settings")),
        "largest_change": _pairs(attack.get("largest_change")),
        "correct": _pairs(float_model.get("correct")),
        "versions": _pairs(metadata.get("versions")),
        "dataset": str(metadata.get("dataset", "not stated")),
        "seed": str(metadata.get("seed", "not stated")),
        "of_this_model": comparison.float_classes is not None,
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(value: Any) -> str:
    return ", ".join(f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in _object(value).items())
