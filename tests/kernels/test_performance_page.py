"""The page of tools/write_performance: every published figure, and each goal with its figure or a reason."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stq_deploy.common.errors import StqError

TOP = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(TOP / "tools" / "write_performance.py"))
PUBLISHED = tomllib.loads((TOP / "tools" / "published_performance.toml").read_text())


def figures(milliseconds: float) -> dict[str, Any]:
    network = {
        "network": "zoo:stq-cifar10", "optimize": "speed", "macs": 1000, "instructions": 900, "estimated_cycles": 800,
        "estimated_cycles_per_mac": 0.8, "estimated_ms": milliseconds, "weight_bytes": 10, "flash_bytes": 20,
        "ram_bytes": 30,
    }  # fmt: skip
    return {
        "compiler": "gcc", "compile_flags": ["-O3"], "board": "stm32h743", "compared_layers": [], "networks": [network],
    }  # fmt: skip


def goal(page: str, what: str) -> list[str]:
    return next(line for line in page.splitlines() if line.startswith(f"| {what} |")).split(" | ")


def test_a_goal_is_met_or_has_a_reason() -> None:
    assert goal(TOOL["page"](figures(25.0)), "the STQ network")[2:4] == ["25", "yes"]
    assert goal(TOOL["page"](figures(25.1)), "the STQ network")[2:4] == ["25.1", "no"]
    assert goal(TOOL["page"](figures(25.0)), "ResNetV1 in int8")[2] == "not measured"
    assert all(entry["reason"] for entry in PUBLISHED["goal"])


def test_every_published_figure_has_a_kind_and_a_source() -> None:
    page = TOOL["page"](figures(1.0))
    for entry in PUBLISHED["network"]:
        assert entry["kind"] in ("silicon", "exact count", "estimate") and entry["source"]
        assert entry["by"] in page
    assert "0.915 cycles (40.84 ms)" in page  # of MLPerf Tiny's milliseconds


def test_figures_without_networks_are_refused() -> None:
    with pytest.raises(StqError, match="no networks"):
        TOOL["page"]({})
