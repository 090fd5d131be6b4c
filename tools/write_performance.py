"""Writes docs/PERFORMANCE.md of tools/bench_kernels's figures, those that others published, and our goals."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.errors import StqError
from stq_deploy.common.files import write_whole

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "PERFORMANCE.md"
FIGURES = TOP / "docs" / "figures" / "bench_kernels.json"
PUBLISHED = TOP / "tools" / "published_performance.toml"
TEMPLATE = TOP / "tools" / "performance.md.jinja"


@dataclass(frozen=True)
class Goal:
    """A goal, and what was found.

    Attributes:
        what: the layer or network.
        wanted, unit: the largest figure that meets it.
        found: the figure as text, or "not measured".
        met: whether it is met.
        reason: why it is not, if it is not.
    """

    what: str
    wanted: float
    unit: str
    found: str
    met: bool
    reason: str


def page(figures: dict[str, Any]) -> str:
    """docs/PERFORMANCE.md, of the figures of `tools/bench_kernels --json`.

    Raises:
        StqError: the figures are older than the measurement of networks.
    """
    if "networks" not in figures:
        raise StqError(
            "the figures have no networks",
            cause="an older tools/bench_kernels wrote them",
            next=f"run tools/bench_kernels --json {FIGURES.relative_to(TOP)}",
        )
    published = tomllib.loads(PUBLISHED.read_text())
    environment = jinja2.Environment(  # Markdown, not HTML  # noqa: S701
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    environment.filters["per_mac"] = _per_mac
    text = environment.from_string(TEMPLATE.read_text()).render(
        figures=figures,
        published=published,
        goals=[_goal(entry, figures) for entry in published["goal"]],
        layer=lambda name, bits: _layer(figures, name, bits),
    )
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _goal(entry: dict[str, Any], figures: dict[str, Any]) -> Goal:
    if "layer" in entry:
        row = _row(figures, entry["layer"], entry["bits"])
    else:
        rows = [one for one in figures["networks"] if one["network"] == entry["network"]]
        # Kernels chosen for speed that are those chosen for size are not measured twice.
        row = next((one for one in rows if one["optimize"] == entry["optimize"]), rows[0] if rows else None)
    value = None if row is None else row[entry["figure"]]
    found = "not measured" if value is None else f"{value:.4g}"
    met = value is not None and value <= entry["wanted"]
    return Goal(entry["what"], entry["wanted"], entry["unit"], found, met, entry["reason"])


def _row(figures: dict[str, Any], name: str, bits: int) -> dict[str, Any] | None:
    marks = {8: "_s8_", 4: "_s4_", 2: "_t2_"}
    found = (one for one in figures["compared_layers"] if one["layer"] == name and marks[bits] in one["kernel"])
    return next(found, None)


def _layer(figures: dict[str, Any], name: str, bits: int) -> str:
    row = _row(figures, name, bits)
    if row is None:
        return "-"
    return f"{row['instructions_per_mac']:.3g}, {row['estimated_cycles_per_mac']:.3g}"


def _per_mac(entry: dict[str, Any]) -> str:
    """Cycles or instructions for each multiply-accumulate, of an entry in the file of published figures."""
    if "milliseconds" in entry:
        cycles = entry["milliseconds"] * 1e3 * entry["megahertz"]
        return f"{cycles / entry['macs']:.3f} cycles ({entry['milliseconds']} ms)"
    unit = "cycles" if "cycles_per_mac" in entry else "instructions"
    value = entry[f"{unit}_per_mac"]
    return f"{value[0]} to {value[1]} {unit}" if isinstance(value, list) else f"{value} {unit}"


if __name__ == "__main__":
    try:
        write_whole(PAGE, page(json.loads(FIGURES.read_text())))
    except StqError as error:
        sys.exit(str(error))
