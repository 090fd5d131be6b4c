"""A build's memory as a page of its own, and the same tables and charts for the report of a run."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from stq_deploy import __version__
from stq_deploy.evaluation.memory_plan import MemoryPlan, PlacedPart
from stq_deploy.report.memory_charts import arena_chart, region_chart
from stq_deploy.report.page_templates import page_environment


def render_memory_page(plan: MemoryPlan, *, title: str, build_id: str) -> str:
    """The page as text. Names are untrusted: the template escapes everything it prints."""
    template = page_environment().get_template("memory.html.j2")
    return template.render(memory_context(plan) | {"title": title, "build_id": build_id, "version": __version__})


def memory_context(plan: MemoryPlan) -> dict[str, Any]:
    """The variables of templates/memory_plan.html.j2."""
    return {
        "plan": plan,
        "placed": [_row(parts) for parts in _together(plan.parts)],
        "memory_charts": {
            "regions": Markup(region_chart(plan.regions)),  # noqa: S704 - our own SVG, its text escaped
            "arena": Markup(arena_chart(plan.arena)),  # noqa: S704
        },
    }


def _together(parts: tuple[PlacedPart, ...]) -> list[list[PlacedPart]]:
    """The functions that lie in one memory, as there are many; every other part by itself."""
    found: dict[object, list[PlacedPart]] = {}
    for number, part in enumerate(parts):
        found.setdefault(part.memory if part.group == "kernels" else number, []).append(part)
    return list(found.values())


def _row(parts: list[PlacedPart]) -> dict[str, str]:
    part = parts[0]
    size = sum(p.bytes for p in parts)
    is_code = part.group == "kernels"
    what = {"kernels": f"{len(parts)} functions that an inference runs", "weights": f"constants of {part.name}"}
    return {
        "what": what.get(part.group, part.name),
        "bytes": f"{size:,}",
        "accesses": "" if is_code else f"{part.accesses:,}",
        "density": "" if is_code else f"{part.accesses / max(size, 1):,.1f}",
        "memory": part.memory,
        "why": part.reason,
    }
