"""The paper's Fig. 4 and Fig. 5 as SVG files, drawn from the figures that `reproduce` keeps."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from stq_deploy.common.intervals import wilson_interval
from stq_deploy.report.charts import Bar, ChartCurve, Point, accuracy_chart, curve_chart
from stq_deploy.report.inline_svg import standalone_svg

NETWORKS = {"stq-cifar10": "STQ", "fp-cifar10": "FP", "resnet-v1-cifar10": "ResNetV1"}
"""Models of the figures, by their titles."""
FIG4 = ("C&W-L2", "ZOO")
_STATES = ("clean", "attacked, unrounded", "rounded afterwards", "rounded inside the search")
_ZOO_ART, _ZOO = "ZOO, ART's step", "ZOO"


def fig4(cells: Sequence[dict[str, Any]]) -> str | None:
    """Bars: each network under C&W and ZOO; None if none of them has been run."""
    groups = []
    for attack, art in (("C&W-L2", "C&W-L2"), (_ZOO, _ZOO_ART)):
        for model, title in NETWORKS.items():
            paper, fixed = (_cell(cells, model, *place) for place in (("paper", art), ("paper-fixed", attack)))
            bars = []
            if paper is not None:
                bars += [_bar(i, paper, name) for i, name in enumerate(("clean", "float", "rounded"))]
            if fixed is not None:
                bars += [_bar(3, fixed, "float")] + ([] if paper is not None else [_bar(0, fixed, "clean")])
            if bars:
                groups.append((f"{title}: {attack.removesuffix('-L2')}", bars))
    return standalone_svg(accuracy_chart(groups, _STATES, "Accuracy under C&W and ZOO")) if groups else None


def fig5(cells: Sequence[dict[str, Any]]) -> str | None:
    """Curves over the budget, FGSM and PGD, a line for each network; None if none of them has been run."""
    panels = []
    for series in ("FGSM", "PGD, 7 steps"):
        curves = []
        for number, (model, title) in enumerate(NETWORKS.items()):
            mine = [c for c in cells if (c["model"], c["series"]) == (model, series)]
            if mine:
                mine.sort(key=lambda c: Fraction(c["eps"]))
                points = [_point(0.0, "clean", mine[0], "clean")]
                points += [_point(255 * float(Fraction(c["eps"])), c["eps"], c, "float") for c in mine]
                curves.append(ChartCurve(title, number + 1, points))
        if curves:
            panels.append((series, curves))
    return standalone_svg(curve_chart(panels, "Accuracy over the Linf budget, under FGSM and PGD")) if panels else None


def _cell(cells: Sequence[dict[str, Any]], model: str, preset: str, series: str) -> dict[str, Any] | None:
    return next((c for c in cells if (c["model"], c["preset"], c["series"]) == (model, preset, series)), None)


def _bar(series: int, cell: dict[str, Any], name: str) -> Bar:
    count = cell["counts"][-1]
    share = count[name] / count["samples"]
    low, high = wilson_interval(count[name], count["samples"])
    return Bar(series, share, low, high, f"{_STATES[series]}: {count[name]} of {count['samples']}")


def _point(at: float, tick: str, cell: dict[str, Any], name: str) -> Point:
    count = cell["counts"][-1]
    low, high = wilson_interval(count[name], count["samples"])
    return Point(at, tick, count[name] / count["samples"], low, high)
