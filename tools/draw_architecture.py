"""Draw docs/figures/architecture.svg: the folders of stq_deploy as steps from a model file to a report.

    python tools/draw_architecture.py

The folders and their order are those of the table in docs/DESIGN.md; a folder that no box holds is an error.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stq_deploy.common.files import write_whole

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "figures" / "architecture.svg"
DESIGN = TOP / "docs" / "DESIGN.md"


@dataclass(frozen=True)
class Step:
    """A box of the pipeline.

    Attributes:
        folders: of stq_deploy, in their order.
        does: one line.
        result: what it hands to the next box; "" for the last.
        beside: a folder outside stq_deploy that it reads, or "".
    """

    folders: tuple[str, ...]
    does: str
    result: str
    beside: str = ""


SOURCE = "model.h5, .keras, .onnx, .tflite"
STEPS = (
    Step(("sandbox", "frontend"), "check against an allow-list; execute nothing", "SourceGraph"),
    Step(("lowering",), "quantize, fold, fuse, certify", "Network (.stq): the definition of right"),
    Step(("program", "rewrites"), "rewrite; choose kernels, order layers, place tensors", "Program"),
    Step(("codegen",), "pack weights, emit C", "C project", "firmware_templates"),
    Step(("toolchain",), "compile, place in memories, measure", "firmware.elf, host library", "boards"),
    Step(("targets/emulator", "targets/flash"), "boot the ELF, or write it to a board", "a board on a serial port"),
    Step(("targets/link", "executors"), "levels in, logits out", "outputs and CRCs"),
    Step(("evaluation",), "score, compare, resume", "results"),
    Step(("report",), "JSON, CSV, HTML", ""),
)
BESIDE = (
    ("Networks, data, attacks", ("research/quantizers", "datasets", "zoo", "research/attacks", "research/training")),
    ("Shared by all steps", ("common", "network", "targets/boards")),
    ("Composing and using the steps", ("onnx_export", "pipeline", "cycles", "api", "cli", "hls4ml_backend")),
)
"""Folders beside the pipeline: what each group is, and the folders. Single modules carry no step and are not drawn."""

WIDTH, BOX, LEFT, RIGHT = 860, 430, 20, 600
HEIGHT, GAP, FIRST = 54, 34, 64
STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #1b1f24; }
  .name { font: bold 15px ui-monospace, monospace; }
  .small { font-size: 12.5px; fill: #57606a; }
  rect { fill: #eef4ff; stroke: #3b6fc4; rx: 6; }
  .side { fill: #f4f4f4; stroke: #8c959f; }
  path { stroke: #57606a; fill: none; marker-end: url(#tip); }
  marker path { fill: #57606a; stroke: none; marker-end: none; }
  .paper { fill: #ffffff; stroke: none; rx: 0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .small { fill: #9ea7b3; } rect { fill: #16253f; } .side { fill: #22272e; }
    .paper { fill: #0d1117; } path { stroke: #9ea7b3; } marker path { fill: #9ea7b3; }
  }"""


def order() -> list[str]:
    """The folders and modules of stq_deploy, bottom first, as the table in docs/DESIGN.md has them."""
    table = DESIGN.read_text(encoding="utf-8").partition("| folder | step | imports beside numpy |\n")[2]
    rows = table.partition("\n\n")[0].splitlines()[1:]
    return [name for row in rows for name in re.findall(r"`([\w/]+?)(?:/|\.py)`", row.split("|")[1])]


def check(folders: list[str]) -> None:
    """Refuse a picture that leaves a folder out, or whose steps are in another order than the imports.

    Args:
        folders: those of stq_deploy, in their order.
    """
    drawn = [name for step in STEPS for name in step.folders]
    everything = [*drawn, *(name for _, group in BESIDE for name in group)]
    if sorted(everything) != sorted(folders):
        raise SystemExit(f"drawn and existing folders differ: {sorted(set(everything) ^ set(folders))}")
    for names in (drawn, *(group for _, group in BESIDE)):
        if sorted(names, key=folders.index) != list(names):
            raise SystemExit(f"these are in another order than in {DESIGN.name}: {', '.join(names)}")


def draw() -> str:
    """The picture as SVG text."""
    parts = [_text(LEFT, FIRST - 34, SOURCE)]
    for index, step in enumerate(STEPS):
        top = FIRST + index * (HEIGHT + GAP)
        parts += [
            _arrow(LEFT + 40, top - GAP + 6, LEFT + 40, top - 2),
            _box(LEFT, top, BOX, HEIGHT, ""),
            _text(LEFT + 14, top + 22, ", ".join(step.folders), "name"),
            _text(LEFT + 14, top + 42, step.does, "small"),
        ]
        if step.result:
            parts.append(_text(LEFT + 54, top + HEIGHT + 21, step.result))
        if step.beside:
            parts.append(_arrow(RIGHT - 6, top + HEIGHT / 2, LEFT + BOX + 3, top + HEIGHT / 2))
            parts.append(_text(RIGHT, top + HEIGHT / 2 + 5, step.beside + "/", "name"))
    height = FIRST + len(STEPS) * (HEIGHT + GAP)
    tops = (FIRST, FIRST + 1 * (HEIGHT + GAP) + 60, FIRST + 5 * (HEIGHT + GAP) + 20)
    for top, (title, group) in zip(tops, BESIDE, strict=True):
        tall = 34 + 20 * len(group)
        parts += [_box(RIGHT, top, WIDTH - RIGHT - 20, tall, "side"), _text(RIGHT + 14, top + 22, title, "small")]
        parts += [_text(RIGHT + 14, top + 44 + 20 * line, name, "name") for line, name in enumerate(group)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="The folders of stq_deploy, as steps from a model file to a report">\n'
        f"<!-- written by tools/draw_architecture.py -->\n<style>{STYLE}\n</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>\n'
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>'


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(words)}</text>'


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}"/>'


def main() -> None:
    """Check the picture against the architecture, and write it."""
    check([name for name in order() if (TOP / "stq_deploy" / name).is_dir()])
    write_whole(PAGE, draw())


if __name__ == "__main__":
    main()
