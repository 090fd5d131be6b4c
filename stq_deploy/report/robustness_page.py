"""A robustness run as one page: curves over the budget, tables, signs of masking, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from markupsafe import Markup

from stq_deploy import __version__
from stq_deploy.evaluation.robustness.presets import LIMIT, Preset
from stq_deploy.evaluation.robustness.record import RobustnessRecord
from stq_deploy.evaluation.robustness.run import Job
from stq_deploy.evaluation.robustness.shard import Shard
from stq_deploy.evaluation.robustness.summary import SeriesSummary, Summary, mean_share
from stq_deploy.report.charts import band, quiet
from stq_deploy.report.inline_svg import INK, SERIES, chart_style, inline_svg, new_figure
from stq_deploy.report.page_templates import page_environment
from stq_deploy.report.pictures import png_uri

_PICTURES = 8
_FACTOR = 16
"""Differences are shown this many times as large."""
_DASHES = ("-", "--", ":", "-.")
"""Styles of lines that follow once each color has a line."""


def render_robustness_page(record: RobustnessRecord, shards: Sequence[Shard]) -> str:
    """The page as text. Names are untrusted: the template escapes everything it prints."""
    job, preset, summary = record.job, record.preset, record.summary
    template = page_environment().get_template("robustness.html.j2")
    return template.render(
        title=f"Robustness of {job.model.stem}",
        preset=preset,
        source=record.source,
        summary=summary,
        flags=record.flags,
        record=record.to_json(),
        curves=[
            (series, Markup(_curve(series, summary)))  # noqa: S704 - our own SVG, its text escaped
            for series in summary.series
            if len(series.rows) > 1
        ],
        pictures=_pictures(job, preset, shards),
        factor=_FACTOR,
        fresh_clean=mean_share(summary.fresh_clean),
        version=__version__,
    )


def _curve(series: SeriesSummary, summary: Summary) -> str:
    """Accuracy over the budget: worst case with its interval, and each attack that ran by itself."""
    with chart_style():
        figure = new_figure(760, 330)
        axes = figure.add_subplot()
        at = [0.0, *(float(Fraction(row.eps)) * (255 if series.norm == "inf" else 1) for row in series.rows)]
        total, colors = summary.samples, SERIES[2:]
        alone = [place for place, attack in enumerate(series.rows[0].attacks) if attack.alone is not None]
        for number, place in enumerate(alone):
            own = [row.attacks[place].alone or 0 for row in series.rows]
            shares = [100 * count / total for count in (summary.clean.correct, *own)]
            color, style = colors[number % len(colors)], _DASHES[number // len(colors) % len(_DASHES)]
            title = series.rows[0].attacks[place].attack
            axes.plot(at, shares, color=color, linestyle=style, label=title, linewidth=1.2)
        worst = [summary.clean, *(row.worst for row in series.rows)]
        shares = [100 * one.share for one in worst]
        ends = np.asarray([one.interval for one in worst]) * 100
        band(axes, at, list(ends[:, 0]), list(ends[:, 1]), SERIES[1])
        axes.plot(at, shares, color=SERIES[1], label="worst case", linewidth=2.2, marker="o")
        for x, y in zip(at, shares, strict=True):
            axes.annotate(
                f"{y:.0f}", (x, y), (0, 6), textcoords="offset points", ha="center", color=INK, fontsize=10
            )  # fmt: skip
        axes.set_ylim(0, 108)
        axes.set_yticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
        axes.set_xticks(at, ["clean", *(row.eps for row in series.rows)])
        axes.grid(axis="y")
        quiet(axes)
        figure.legend(loc="outside upper left", ncols=4)
        return inline_svg(figure, f"Accuracy over the {series.name} budget")


@dataclass(frozen=True)
class _BrokenSample:
    """A sample that an attack broke: clean, attacked and their difference as pictures, and the classes by name."""

    eps: str
    images: list[str]
    true: str
    before: str
    after: str


def _pictures(job: Job, preset: Preset, shards: Sequence[Shard]) -> list[_BrokenSample]:
    """The first samples that were right and are broken at the largest budget of the first series."""
    series = next((s for s in preset.series if s.name != LIMIT), None)
    if series is None or job.x.ndim != 4 or job.x.shape[3] not in (1, 3):
        return []
    found: list[_BrokenSample] = []
    for shard in shards:
        result = shard.series[series.name]
        for place in np.flatnonzero(shard.right & result.union[-1, -1]):
            b = int(np.argmax(result.union[:, -1, place]))
            clean, attacked = job.x[shard.numbers[place]], result.worst[b, place]
            difference = np.clip(0.5 + (attacked - clean) * _FACTOR, 0, 1)
            found.append(
                _BrokenSample(
                    eps=series.eps[b],
                    images=[png_uri(picture) for picture in (clean, attacked, difference)],
                    true=_named(job, shard.labels[place]),
                    before=_named(job, shard.predicted[place]),
                    after=_named(job, result.predicted[b, place]),
                )
            )
            if len(found) == _PICTURES:
                return found
    return found


def _named(job: Job, number: np.int64) -> str:
    return job.class_names[number] if number < len(job.class_names) else str(number)
