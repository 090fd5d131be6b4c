"""Charts as inline SVG text: small, deterministic, and without a plotting library.

Colours come from the page's style sheet, by class name. All text is escaped here: charts are safe to embed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 760
_BAR = 18


@dataclass(frozen=True)
class Bar:
    """One bar: a share 0 .. 1 with its interval; `series` (0, 1, 2 ...) chooses the colour."""

    series: int
    share: float
    low: float
    high: float
    label: str


def accuracy_chart(groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Vertical bars from 0 to 100 %, grouped; whiskers are the intervals."""
    left, top, height, bottom = 48, 14, 220, 34
    parts = []
    for tick in range(0, 101, 20):
        y = top + height * (1 - tick / 100)
        parts.append(_line(left, y, _WIDTH, y, "grid"))
        parts.append(_text(left - 6, y + 4, f"{tick} %", "end"))
    slot = (_WIDTH - left) / max(1, len(groups))
    for number, (title, bars) in enumerate(groups):
        width = min(38.0, slot / (len(bars) + 1))
        start = left + slot * number + (slot - width * len(bars)) / 2
        for place, bar in enumerate(bars):
            x = start + place * width
            y = top + height * (1 - bar.share)
            parts.append(_rectangle(x + 2, y, width - 4, height * bar.share, f"series{bar.series}", bar.label))
            middle = x + width / 2
            high, low = top + height * (1 - bar.high), top + height * (1 - bar.low)
            parts.append(_line(middle, high, middle, low, "whisker"))
            parts.extend(_line(middle - 4, end, middle + 4, end, "whisker") for end in (high, low))
        parts.append(_text(left + slot * (number + 0.5), top + height + 18, title, "middle"))
    return _svg(_WIDTH, top + height + bottom, parts, "Top-1 accuracy with 95 % intervals")


def bar_chart(rows: Sequence[tuple[str, float, str]], series: int, title: str) -> str:
    """Horizontal bars of (name, value >= 0, value as text), scaled to the largest."""
    left, right = 150, 120
    largest = max((value for _, value, _ in rows), default=0) or 1
    parts = []
    for number, (name, value, text) in enumerate(rows):
        y = number * (_BAR + 6)
        width = (_WIDTH - left - right) * value / largest
        parts.append(_text(left - 8, y + _BAR - 4, name, "end"))
        parts.append(_rectangle(left, y, width, _BAR, f"series{series}", f"{name}: {text}"))
        parts.append(_text(left + width + 6, y + _BAR - 4, text, "start"))
    return _svg(_WIDTH, max(1, len(rows)) * (_BAR + 6), parts, title)


def usage_chart(rows: Sequence[tuple[str, int, int]]) -> str:
    """Memory regions as (name, bytes used, bytes there): how full each one is."""
    left, right = 150, 270
    parts = []
    for number, (name, used, size) in enumerate(rows):
        y = number * (_BAR + 6)
        width = _WIDTH - left - right
        share = min(1.0, used / size) if size else 0.0
        parts.append(_text(left - 8, y + _BAR - 4, name, "end"))
        parts.append(_rectangle(left, y, width, _BAR, "empty", f"{name}: {size} bytes"))
        parts.append(_rectangle(left, y, width * share, _BAR, "series1", f"{name}: {used} bytes used"))
        text = f"{used:,} of {size:,} bytes ({100 * share:.1f} %)"
        parts.append(_text(left + width + 6, y + _BAR - 4, text, "start"))
    return _svg(_WIDTH, max(1, len(rows)) * (_BAR + 6), parts, "Memory by region")


def confusion_chart(counts: Sequence[Sequence[int]], class_names: Sequence[str], title: str) -> str:
    """Matrix of counts; rows: true classes, columns: predicted ones; darker: more of the row's samples."""
    left, top, cell = 90, 78, 26
    parts = []
    for row, (name, line) in enumerate(zip(class_names, counts, strict=True)):
        y = top + row * cell
        parts.append(_text(left - 6, y + cell - 8, name, "end"))
        total = sum(line) or 1
        for column, count in enumerate(line):
            x = left + column * cell
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" class="series1 cell" '
                f'fill-opacity="{count / total:.3f}"><title>{escape(name)} as {escape(class_names[column])}: '
                f"{count}</title></rect>"
            )
            if count:
                parts.append(_text(x + cell / 2, y + cell - 8, str(count), "middle"))
    for column, name in enumerate(class_names):
        middle = left + column * cell + cell / 2 + 4
        parts.append(
            f'<text x="{middle:.1f}" y="{top - 6}" transform="rotate(-60 {middle:.1f} {top - 6})">{escape(name)}</text>'
        )
    side = cell * len(class_names)
    return _svg(left + side + 50, top + side + 4, parts, title)


def _svg(width: float, height: float, parts: Iterable[str], title: str) -> str:
    name = escape(title)
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
    return f'<svg {size} role="img" aria-label="{name}"><title>{name}</title>{"".join(parts)}</svg>'


def _rectangle(x: float, y: float, width: float, height: float, style: str, label: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" '
        f'class="{style}"><title>{escape(label)}</title></rect>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
