"""A matplotlib figure as SVG text for an HTML page; equal figures give equal bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree as ET

from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.figure import Figure

INK, SOFT, LINE, PAGE = "#1c2330", "#5d6778", "#d5dae2", "#ffffff"
SERIES = ("#8c96a5", "#2f72b5", "#c8611b", "#3c8c5a", "#7d5ba6")

_PAGE_COLOURS = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    PAGE: "var(--page)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(SERIES)},
}
"""Our colours -> the page's, which differ between its light and its dark form."""

_SVG = "http://www.w3.org/2000/svg"
_LABEL = "label:"
_UNITS_PER_INCH = 72  # of matplotlib's SVG; a unit becomes a pixel of the page

_STYLE = {
    "svg.fonttype": "none",  # text stays text: to be read aloud, searched and copied
    "svg.hashsalt": "stq-deploy",  # by default identifiers are random
    "text.parse_math": False,  # names come from model files: no formulas in them
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib's own, so that the layout is the same everywhere
    "font.size": 12,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@contextmanager
def chart_style() -> Iterator[None]:
    """Our style without the user's own settings; matplotlib reads it when text is made, and when it is drawn."""
    with style.context(["default", _STYLE]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A transparent figure of this size in pixels of the page; call within `chart_style`."""
    return Figure(figsize=(width / _UNITS_PER_INCH, height / _UNITS_PER_INCH), facecolor="none")


def printable(text: str) -> str:
    """The text without characters that break lines or that SVG forbids."""
    return "".join(c if c.isprintable() else "?" for c in text)


def label(artist: Artist, text: str) -> None:
    """The artist's tooltip and its text for screen readers. Untrusted text is fine."""
    artist.set_gid(_LABEL + printable(text))


def inline_svg(figure: Figure, title: str) -> str:
    """The figure as an `<svg>` element, all text escaped; call within `chart_style`.

    Args:
        title: text of the whole for screen readers. Untrusted text is fine.
    """
    title = printable(title)
    for artist in figure.findobj():
        # Clipping refers to shapes by identifiers, of which two charts on one page would have the same.
        artist.set_clip_on(False)
    written = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has other fonts
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    root = ET.fromstring(written.getvalue())  # noqa: S314 - written by matplotlib just now
    width = float(root.attrib["viewBox"].split()[2])
    attributes = {"viewBox": root.attrib["viewBox"], "width": f"{width:.0f}", "role": "img", "aria-label": title}
    root.attrib.clear()
    root.attrib.update(attributes)
    for definitions in root.findall(f"{{{_SVG}}}defs"):
        root.remove(definitions)  # a style sheet, which would apply to the whole page
    for element in list(root.iter()):
        _adapt(element)
    _title(root, title)
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode")


def standalone_svg(svg: str) -> str:
    """An element of `inline_svg` as a file of its own: colours spelt out, on a light page."""
    root = ET.fromstring(svg)  # noqa: S314 - written by `inline_svg`
    for element in root.iter():
        for name in element.attrib:
            for ours, page in _PAGE_COLOURS.items():
                element.attrib[name] = element.attrib[name].replace(page, ours)
    _, _, width, height = root.attrib["viewBox"].split()
    light = ET.Element(f"{{{_SVG}}}rect", {"width": width, "height": height, "fill": PAGE})
    root.insert(1, light)  # behind everything, after the title
    ET.register_namespace("", _SVG)
    return ET.tostring(root, encoding="unicode") + "\n"


def _adapt(element: ET.Element) -> None:
    """Colours from the page, and identifiers away: those that are labels become titles."""
    for name in ("style", "fill", "stroke"):
        if name in element.attrib:
            for ours, page in _PAGE_COLOURS.items():
                element.attrib[name] = element.attrib[name].replace(ours, page)
    identifier = element.attrib.pop("id", "")
    if identifier.startswith(_LABEL):
        _title(element, identifier.removeprefix(_LABEL))


def _title(element: ET.Element, text: str) -> None:
    title = ET.Element(f"{{{_SVG}}}title")
    title.text = text
    element.insert(0, title)
