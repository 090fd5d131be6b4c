"""Charts of a build's memory: how full each region is, and the arena over the layers of an inference."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from stq_deploy.program import Arena, ArenaScratch, ArenaTensor
from stq_deploy.report.charts import quiet, shortened
from stq_deploy.report.inline_svg import INK, LINE, PAGE, SERIES, SOFT, chart_style, inline_svg, label, new_figure
from stq_deploy.toolchain.sizes import MemoryUse

KINDS = ("code", "constants", "activations", "scratch", "stack and variables")
"""What memory is used for, in the order charts show it."""
_KIND_OF_SECTION = {
    ".vectors": "code",
    ".text": "code",
    ".stq_kernels": "code",
    ".rodata": "constants",
    ".stq_weights": "constants",
    ".copies": "constants",
    ".stq_arena": "activations",
    ".stq_scratch": "scratch",
}
"""Section, or how its name begins -> kind; all others are stack and variables."""
_WIDTH = 760
_ROW = 26
_ARENA_HEIGHT = 380
_COLOURS = dict(zip(KINDS, (SERIES[3], SERIES[2], SERIES[1], SERIES[4], SERIES[0]), strict=True))
_MOST_LAYER_NAMES = 48
_LINE_UNITS, _LETTER_UNITS = 11, 5.6
"""Height of a line and width of a letter of a tensor's name, in units of the chart."""
_FEWEST_LETTERS = 5


def memory_kinds(use: MemoryUse) -> dict[str, int]:
    """Entry of `KINDS` -> bytes of a memory, of those that are there; what is missing to `used_bytes` is alignment."""
    sizes = dict.fromkeys(KINDS, 0)
    for section, size in use.sections.items():
        kind = next((k for start, k in _KIND_OF_SECTION.items() if section.startswith(start)), KINDS[-1])
        sizes[kind] += size
    return {kind: size for kind, size in sizes.items() if size}


def region_chart(memories: Sequence[MemoryUse]) -> str:
    """A bar per memory, as long as it is full, in colours by content."""
    with chart_style():
        figure = new_figure(_WIDTH, 50 + _ROW * max(1, len(memories)))
        axes = figure.add_subplot()
        for row, memory in enumerate(memories):
            share = memory.used_bytes / memory.bytes if memory.bytes else 0.0
            (whole,) = axes.barh(row, 1, 0.75, color=LINE)
            label(whole, f"{shortened(memory.name)}: {memory.bytes:,} bytes")
            start = 0.0
            for kind, size in memory_kinds(memory).items():
                end = min(1.0, start + size / max(memory.bytes, 1))
                (part,) = axes.barh(row, end - start, 0.75, left=start, color=_COLOURS[kind])
                label(part, f"{shortened(memory.name)}: {size:,} bytes of {kind}")
                start = end
            text = f"{memory.used_bytes:,} of {memory.bytes:,} bytes ({100 * share:.1f} %)"
            axes.annotate(text, (1, row), (6, 0), textcoords="offset points", va="center", fontsize=11)
        axes.set_xlim(0, 1)
        axes.set_xticks([])
        axes.set_yticks(range(len(memories)), [shortened(memory.name) for memory in memories])
        axes.set_ylim(len(memories) - 0.4, -0.6)
        axes.spines[["left", "bottom"]].set_visible(False)
        quiet(axes)
        kinds = [kind for kind in KINDS if any(kind in memory_kinds(memory) for memory in memories)]
        if kinds:
            handles = [Rectangle((0, 0), 1, 1, color=_COLOURS[kind]) for kind in kinds]
            figure.legend(handles, kinds, loc="outside upper left", ncols=len(kinds), fontsize=11)
        return inline_svg(figure, "Memory by region")


def arena_chart(arena: Arena, layers: Sequence[str]) -> str:
    """Tensors as boxes: across, the layers during which each must stay intact; upwards, its place in the arena.

    Where a layer writes over its input, the input's box ends and the output's begins in the middle of that layer.

    Args:
        layers: their names, in the order they run.
    """
    with chart_style():
        figure = new_figure(_WIDTH, _ARENA_HEIGHT)
        axes = figure.add_subplot()
        ends = {tensor.replaces: tensor.first for tensor in arena.tensors if tensor.replaces}
        for number, tensor in enumerate(arena.tensors):
            _draw_tensor(axes, arena, len(layers), tensor, ends.get(tensor.name), SERIES[(1, 2, 3)[number % 3]])
        for scratch in arena.scratch:
            _draw_scratch(axes, scratch, layers[scratch.layer])
        count = len(layers)
        top = max(arena.bytes, 1)
        axes.axhline(arena.lower_bound, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        note = (
            f"{arena.bytes:,} bytes; at least {arena.lower_bound:,} with the layers in this order,"
            f" {arena.order_lower_bound:,} in any"
        )
        axes.set_title(note, loc="left", fontsize=11, color=SOFT)
        axes.set_xlim(-1, count + 1)
        axes.set_ylim(0, 1.03 * top)
        step = -(-count // _MOST_LAYER_NAMES)
        named = range(0, count, max(step, 1))
        axes.set_xticks(
            [at + 0.5 for at in named], [shortened(layers[at]) for at in named], rotation=60, ha="right",
            rotation_mode="anchor", fontsize=10,
        )  # fmt: skip
        ticks = [top * part // 4 for part in range(5)]
        axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=10)
        axes.set_ylabel("bytes of the arena")
        axes.grid(axis="y")
        quiet(axes)
        return inline_svg(figure, "The arena, tensor by tensor, over the layers of an inference")


def _draw_scratch(axes: Axes, scratch: ArenaScratch, layer: str) -> None:
    box = axes.add_patch(
        Rectangle((scratch.layer, scratch.offset), 1, scratch.bytes, facecolor=LINE, edgecolor=PAGE, linewidth=1)
    )
    label(box, f"scratch memory of layer {shortened(layer)}: {scratch.bytes:,} bytes at {scratch.offset:,}")


def _draw_tensor(
    axes: Axes, arena: Arena, count: int, tensor: ArenaTensor, replaced_at: int | None, colour: str
) -> None:
    start = tensor.first + (0.5 if tensor.replaces else 0.0)
    end = tensor.last + 1 if replaced_at is None else replaced_at + 0.5
    box = axes.add_patch(
        Rectangle((start, tensor.offset), end - start, tensor.bytes, facecolor=colour, edgecolor=PAGE, linewidth=1)
    )
    layers = f"layers {max(tensor.first, 0)} to {min(tensor.last, count - 1)}"
    label(box, f"{shortened(tensor.name)}: {tensor.bytes:,} bytes at {tensor.offset:,}, {layers}")
    width = (end - start) / (count + 2) * 0.85 * _WIDTH
    height = tensor.bytes / max(arena.bytes, 1) * 0.7 * _ARENA_HEIGHT
    is_upright = width < min(height, _LETTER_UNITS * len(tensor.name))
    letters = int((height if is_upright else width) / _LETTER_UNITS)
    if min(width, height) < _LINE_UNITS or letters < min(_FEWEST_LETTERS, len(tensor.name)):
        return
    text = shortened(tensor.name, letters)
    axes.text(
        (start + end) / 2, tensor.offset + tensor.bytes / 2, text, color=PAGE, ha="center", va="center", fontsize=9,
        rotation=90 if is_upright else 0,
    )  # fmt: skip
