"""The report's charts, drawn with matplotlib's object interface: no windows, no state shared with the caller.

Each function returns an `<svg>` element. Names of samples, layers, regions and classes may be untrusted: they are drawn
as plain text, shortened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from stq_deploy.report.inline_svg import INK, PAGE, SERIES, chart_style, inline_svg, label, new_figure, printable

_WIDTH = 760
_ROW = 24
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Bar:
    """An accuracy 0 .. 1 with its interval; `series` is its place in the legend."""

    series: int
    share: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class Column:
    """One value >= 0 per layer: `series` chooses the colour."""

    title: str
    series: int
    values: Sequence[int]


@dataclass(frozen=True)
class Point:
    """An accuracy 0 .. 1 with its interval, at a place of the axis that is called `tick`."""

    at: float
    tick: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class ChartCurve:
    """Points from left to right; `series` chooses the colour."""

    title: str
    series: int
    points: Sequence[Point]


def curve_chart(panels: Sequence[tuple[str, Sequence[ChartCurve]]], title: str) -> str:
    """Accuracies over a budget, panel beside panel; the shaded bands are the intervals."""
    with chart_style():
        figure = new_figure(_WIDTH, 330)
        drawn = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        named: dict[str, Line2D] = {}
        for axes, (heading, curves) in zip(drawn, panels, strict=True):
            ticks: dict[float, str] = {}
            for curve in curves:
                at = [point.at for point in curve.points]
                colour = SERIES[curve.series]
                band(axes, at, [100 * p.low for p in curve.points], [100 * p.high for p in curve.points], colour)
                (line,) = axes.plot(at, [100 * p.share for p in curve.points], color=colour, linewidth=1.8)
                named.setdefault(shortened(curve.title), line)
                ticks |= {point.at: point.tick for point in curve.points}
            axes.set_title(shortened(heading), loc="left", fontsize=12)
            axes.set_xticks(list(ticks), list(ticks.values()), fontsize=10)
            axes.set_ylim(0, 108)
            axes.set_yticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
            axes.grid(axis="y")
            quiet(axes)
        figure.legend(named.values(), named.keys(), loc="outside upper left", ncols=len(named))
        return inline_svg(figure, title)


def accuracy_chart(
    groups: Sequence[tuple[str, Sequence[Bar]]],
    series: Sequence[str],
    title: str = "Scores",
) -> str:
    """Vertical bars from 0 to 100 %, a group per sample file; whiskers are the intervals."""
    with chart_style():
        figure = new_figure(_WIDTH, 330)
        axes = figure.add_subplot()
        width = 0.8 / len(series)
        for number, name in enumerate(series):
            found = [(at, bar) for at, (_, bars) in enumerate(groups) for bar in bars if bar.series == number]
            places = [at + (number - (len(series) - 1) / 2) * width for at, _ in found]
            heights = [100 * bar.share for _, bar in found]
            drawn = axes.bar(places, heights, 0.9 * width, color=SERIES[number], label=name)
            for patch, (_, bar) in zip(drawn, found, strict=True):
                label(patch, bar.label)
            for place, (_, bar) in zip(places, found, strict=True):
                ends = (100 * bar.low, 100 * bar.high)
                axes.vlines(place, ends[0], ends[1], color=INK, linewidth=1.3)
                axes.hlines(ends, place - 0.15 * width, place + 0.15 * width, color=INK, linewidth=1.3)
                axes.annotate(
                    f"{100 * bar.share:.1f}", (place, 100 * bar.high), (0, 3), textcoords="offset points",
                    ha="center", va="bottom", fontsize=10,
                )  # fmt: skip
        axes.set_ylim(0, 108)
        axes.set_yticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
        axes.set_xlim(-0.6, max(len(groups), 1) - 0.4)
        axes.set_xticks(range(len(groups)), [shortened(name) for name, _ in groups])
        axes.grid(axis="y")
        quiet(axes)
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper left", ncols=len(series))
        return inline_svg(figure, title)


def layer_chart(layers: Sequence[str], columns: Sequence[Column]) -> str:
    """Horizontal bars, a row per layer, a column per quantity; each column is to its own scale."""
    with chart_style():
        figure = new_figure(_WIDTH, 40 + _ROW * max(1, len(layers)))
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, column in zip(panels, columns, strict=True):
            drawn = axes.barh(range(len(layers)), column.values, 0.75, color=SERIES[column.series])
            axes.bar_label(drawn, [f"{value:,}" for value in column.values], padding=4, fontsize=11)
            for patch, name, value in zip(drawn, layers, column.values, strict=True):
                label(patch, f"{shortened(name)}: {value:,} {column.title}")
            # Room for the longest bar's number, which follows its end.
            axes.set_xlim(0, 1.45 * max([1, *column.values]))
            axes.set_xticks([])
            axes.set_title(column.title, loc="left", fontsize=12)
            axes.spines["bottom"].set_visible(False)
            quiet(axes)
        panels[0].set_yticks(range(len(layers)), [shortened(name) for name in layers])
        panels[0].set_ylim(len(layers) - 0.4, -0.6)
        return inline_svg(figure, " and ".join(column.title for column in columns) + " by layer")


def confusion_chart(counts: Sequence[Sequence[int]], class_names: Sequence[str], title: str) -> str:
    """Matrix of counts; rows: true classes, columns: predicted ones; darker: more of the row's samples."""
    names = [shortened(name) for name in class_names]
    with chart_style():
        side = 60 + 7 * max(len(name) for name in names) + 30 * len(names)
        figure = new_figure(side, side)
        axes = figure.add_subplot()
        for row, line in enumerate(counts):
            total = sum(line) or 1
            for column, count in enumerate(line):
                share = count / total
                corner = (column - 0.5, row - 0.5)
                cell = axes.add_patch(Rectangle(corner, 1, 1, facecolor=SERIES[1], alpha=share, linewidth=0))
                label(cell, f"{names[row]} as {names[column]}: {count}")
                if count:
                    colour = PAGE if share > 0.5 else INK
                    axes.text(column, row, str(count), color=colour, ha="center", va="center", fontsize=11)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xticks(range(len(names)), names, rotation=60, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.spines[:].set_visible(True)
        quiet(axes)
        return inline_svg(figure, title)


def band(axes: Axes, at: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str) -> None:
    """A shaded band. `fill_between` draws by reference to a definition, and `inline_svg` takes those away."""
    axes.fill([*at, *reversed(at)], [*low, *reversed(high)], color=colour, alpha=0.16, linewidth=0)


def quiet(axes: Axes) -> None:
    """No tick marks, and the grid behind the bars."""
    axes.tick_params(length=0)
    axes.set_axisbelow(True)


def shortened(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name short enough for a chart."""
    text, longest = printable(name), min(longest, _LONGEST_NAME)
    return text if len(text) <= longest else text[: longest - 1] + "…"
