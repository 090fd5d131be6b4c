"""A build's memory as a page of its own, and the same tables and charts for the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stq_deploy import __version__
from stq_deploy.program.options import kernel_options
from stq_deploy.report.memory_charts import arena_chart, region_chart
from stq_deploy.report.page_templates import page_environment
from stq_deploy.report.trade_chart import trade_chart
from stq_deploy.toolchain.built import BuiltFirmware
from stq_deploy.toolchain.placement import Placed


def render_memory_page(firmware: BuiltFirmware, *, title: str) -> str:
    """The page as text. Names are untrusted: the template escapes everything it prints."""
    template = page_environment().get_template("memory.html.j2")
    return template.render(memory=memory_plan(firmware), title=title, build_id=firmware.build_id, version=__version__)


@dataclass(frozen=True)
class PlacedRow:
    """A part of the firmware and its memory, as texts; of functions, which have no accesses, these are empty."""

    what: str
    bytes: str
    accesses: str
    density: str
    memory: str
    why: str


@dataclass(frozen=True)
class MemoryPlan:
    """What templates/memory_plan.html.j2 shows.

    Attributes:
        scratch_bytes: most scratch memory that a layer takes.
        scratch_within: whether it lies in the arena.
        placed: each part with its bytes, accesses and memory, and why it lies there.
        regions, choices, arena: charts, as SVG.
    """

    scratch_bytes: int
    scratch_within: bool
    placed: list[PlacedRow]
    regions: Markup
    choices: Markup
    arena: Markup


def memory_plan(firmware: BuiltFirmware) -> MemoryPlan:
    """The memory of a build, for the page of its own and for the report of a run."""
    program = firmware.program
    return MemoryPlan(
        scratch_bytes=program.scratch_bytes,
        scratch_within=bool(program.arena.scratch),
        placed=[_row(placed) for placed in _together(firmware.placement.placed)],
        regions=Markup(region_chart(firmware.memories)),  # noqa: S704 - our own SVG, its text escaped
        choices=Markup(trade_chart(kernel_options(program))),  # noqa: S704
        arena=Markup(arena_chart(program.arena, [layer.name for layer in program.layers])),  # noqa: S704
    )


def _together(placed: Sequence[Placed]) -> list[list[Placed]]:
    """The functions of one memory joined, because there are many; every other part separately."""
    found: dict[object, list[Placed]] = {}
    for number, one in enumerate(placed):
        found.setdefault(one.memory if one.part.group == "kernels" else number, []).append(one)
    return list(found.values())


def _row(placed: Sequence[Placed]) -> PlacedRow:
    part = placed[0].part
    size = sum(one.part.bytes for one in placed)
    is_code = part.group == "kernels"
    what = {"kernels": f"{len(placed)} functions that an inference runs", "weights": f"constants of {part.name}"}
    return PlacedRow(
        what=what.get(part.group, part.name),
        bytes=f"{size:,}",
        accesses="" if is_code else f"{part.accesses:,}",
        density="" if is_code else f"{part.accesses / max(size, 1):,.1f}",
        memory=placed[0].memory,
        why=placed[0].reason,
    )
