"""The choices of kernels of a program as a chart: estimated time against estimated flash, and the RAM of each."""

from __future__ import annotations

from collections.abc import Sequence

from stq_deploy.program.options import KernelOption
from stq_deploy.report.charts import quiet
from stq_deploy.report.inline_svg import PAGE, SERIES, SOFT, chart_style, inline_svg, label, new_figure

_WIDTH, _HEIGHT = 760, 260


def trade_chart(options: Sequence[KernelOption]) -> str:
    """A point for each choice, from the smallest to the fastest; those that the program did not take are rings."""
    with chart_style():
        figure = new_figure(_WIDTH, _HEIGHT)
        axes = figure.add_subplot()
        flash = [option.flash_bytes / 1000 for option in options]
        cycles = [option.cycles / 1e6 for option in options]
        axes.plot(flash, cycles, color=SOFT, linewidth=1, zorder=1)
        for x, y, option in zip(flash, cycles, options, strict=True):
            colour = SERIES[1]
            point = axes.scatter([x], [y], s=60, c=colour if option.is_chosen else PAGE, edgecolors=colour, zorder=2)
            label(point, _text(option))
            name = ", ".join((*option.suits, f"RAM {option.ram_bytes / 1000:,.1f}"))
            axes.annotate(name, (x, y), (6, 6), textcoords="offset points", color=SOFT)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.15)
        axes.set_xlabel("constants and kernels in flash, thousands of bytes, by estimate; RAM in the same unit")
        axes.set_ylabel("million cycles, by estimate")
        quiet(axes)
        return inline_svg(figure, "Choices of kernels: time against flash")


def _text(option: KernelOption) -> str:
    taken = ", taken" if option.is_chosen else ""
    kernels = "; ".join(f"{layer}: {function}" for layer, function in option.kernels.items())
    sizes = f"{option.flash_bytes:,} bytes of flash, {option.ram_bytes:,} of RAM"
    return f"{sizes}, {option.cycles:,} cycles{taken}{'; ' if kernels else ''}{kernels}"
