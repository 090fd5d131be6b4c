"""The network's graph as an inline SVG: a box for each op, the earlier ones above, and a line for each tensor read."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from stq_deploy.network import Network
from stq_deploy.report.charts import shortened
from stq_deploy.report.inline_svg import INK, LINE, PAGE, SERIES, SOFT, chart_style, inline_svg, label, new_figure

_BOX_WIDTH, _BOX_HEIGHT = 240, 34
_STEP_X, _STEP_Y = 270, 56
_SIDE = 14
"""Distance of the lines that pass ops by; all lengths are pixels of the page."""
_LETTERS = 34
_COLOURS = {"convolve": 1, "depthwise_convolve": 1, "dense": 1, "add": 2, "multiply": 2, "maximum": 2, "minimum": 2}
"""Kind of op -> number of its colour: weighted ops, and those that join branches; others have the first."""


def network_chart(network: Network) -> str:
    """An `<svg>` element; names are untrusted, and drawn as text."""
    places = _places(network)
    columns = max(column for column, _ in places.values()) + 1
    rows = max(row for _, row in places.values()) + 1
    passing = sum(1 for _, _, passes in _lines(network, places) if passes)
    width, height = columns * _STEP_X + _SIDE * (passing + 2), rows * _STEP_Y
    with chart_style():
        figure = new_figure(width, height)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(-_SIDE * (passing + 1), columns * _STEP_X)
        axes.set_ylim(rows * _STEP_Y, 0)
        axes.set_axis_off()
        side = 0
        for start, end, passes in _lines(network, places):
            side += passes
            _draw_line(axes, places[start], places[end], side if passes else 0)
        spec = network.input_type
        _draw_box(axes, places[network.input], "input", network.input, spec.shape, 0)
        for op in network.ops:
            number = _COLOURS.get(op.kind, 0)
            _draw_box(axes, places[op.output], op.kind, op.name, network.tensors[op.output].shape, number)
        return inline_svg(figure, f"The network: {len(network.ops)} operations from the input to the output")


def _places(network: Network) -> dict[str, tuple[int, int]]:
    """Tensor -> (column, row): a row below all that it is computed from, in the first column that is free there."""
    places = {network.input: (0, 0)}
    taken = {0: 1}
    for op in network.ops:
        row = 1 + max(places[name][1] for name in op.inputs)
        places[op.output] = (taken.get(row, 0), row)
        taken[row] = taken.get(row, 0) + 1
    return places


def _lines(network: Network, places: dict[str, tuple[int, int]]) -> list[tuple[str, str, bool]]:
    """(tensor read, tensor computed, whether the line passes other rows) for each input of each op."""
    found = []
    for op in network.ops:
        for name in dict.fromkeys(op.inputs):
            found.append((name, op.output, places[op.output][1] - places[name][1] > 1))
    return found


def _draw_line(axes: Axes, start: tuple[int, int], end: tuple[int, int], side: int) -> None:
    """From the bottom of one box to the top of another; `side` numbers the lines that pass on the left, from 1."""
    from_x, to_x = (column * _STEP_X + _BOX_WIDTH / 2 for column, _ in (start, end))
    from_y, to_y = start[1] * _STEP_Y + _BOX_HEIGHT, end[1] * _STEP_Y
    if not side:
        axes.plot([from_x, to_x], [from_y, to_y], color=SOFT, linewidth=1.2)
        return
    left, gap = -_SIDE * side, (_STEP_Y - _BOX_HEIGHT) / 3
    xs = [from_x, left, left, to_x]
    ys = [from_y, from_y + gap, to_y - gap, to_y]
    axes.plot(xs, ys, color=SERIES[2], linewidth=1.2)


def _draw_box(
    axes: Axes, place: tuple[int, int], kind: str, name: str, shape: tuple[int, ...], number: int
) -> None:  # fmt: skip
    x, y = place[0] * _STEP_X, place[1] * _STEP_Y
    size = " x ".join(map(str, shape))
    box = axes.add_patch(
        Rectangle((x, y), _BOX_WIDTH, _BOX_HEIGHT, facecolor=SERIES[number] if number else PAGE, edgecolor=LINE)
    )
    label(box, f"{shortened(name)}: {kind}, gives {size}")
    ink = PAGE if number else INK
    axes.text(x + 8, y + 11, f"{kind}   {size}", color=ink, fontsize=10, va="center")
    axes.text(x + 8, y + 24, shortened(name, _LETTERS), color=ink, fontsize=9, va="center")
