"""The tool's table and picture, from figures that are made up; its measure, on a network that is not trained."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.network import TensorType
from stq_deploy.network.graph import Network
from stq_deploy.network.ops import Convolve, Window
from stq_deploy.network.requantize import KeepAccumulator
from tools import sparsity_curve
from tools.marked_block import replace_block

POINTS = [
    sparsity_curve.SparsityPoint(
        0.0, 8000, 10000, {"conv2": 0.5, "conv3": 0.25}, 2_000_000, 1_200_000, 2.5,
        {"conv1": 0.5, "conv2": 1.25, "conv3": 0.75}, {"conv2": "g", "conv3": "g"}, 4, 24000,
    ),
    sparsity_curve.SparsityPoint(
        0.9, 7000, 10000, {"conv2": 0.1, "conv3": 0.0625}, 1_000_000, 600_000, 1.25,
        {"conv1": 0.5, "conv2": 0.5, "conv3": 0.25}, {"conv2": "g", "conv3": "g"}, 4, 24000,
    ),
]  # fmt: skip


def test_the_table_has_a_row_for_each_point() -> None:
    rows = sparsity_curve.table(POINTS).splitlines()
    assert "4 epochs of 24,000 samples" in rows[0]
    assert rows[4] == "| none | 50.0 % | 25.0 % | 2.50 | 2.00 | 2,000,000 | 80.00 % (79.2 .. 80.8) |"
    assert rows[5] == "| 90 % | 10.0 % | 6.2 % | 1.25 | 0.75 | 1,000,000 | 70.00 % (69.1 .. 70.9) |"
    assert rows[2].count("|") == rows[3].count("|") == rows[4].count("|")
    assert "No network" in sparsity_curve.table([])


def test_the_picture_names_every_point() -> None:
    text = sparsity_curve.chart(POINTS)
    titles = [element.text for element in ET.fromstring(text).iter() if element.tag.endswith("title")]
    assert "90 % zeros: 1.25 ms, 70.00 %" in titles and "zeros not asked for: 2.50 ms, 80.00 %" in titles
    assert sparsity_curve.chart(POINTS) == text


def test_figures_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "sparsity.json"
    assert sparsity_curve.read_points(path) == {}
    path.write_text(json.dumps({"board": "b", "points": [dataclasses.asdict(point) for point in POINTS]}))
    assert sparsity_curve.read_points(path) == {0.0: POINTS[0], 0.9: POINTS[1]}


def test_the_page_and_the_committed_figures_agree() -> None:
    page = sparsity_curve.PAGE.read_text(encoding="utf-8")
    points = sparsity_curve.read_points(sparsity_curve.FIGURES)
    table = sparsity_curve.table([points[target] for target in sorted(points)])
    assert replace_block(page, sparsity_curve.BLOCK, table) == page


@pytest.mark.parametrize(("weights", "shares"), [([1, 0, -1, 0], {"c": 0.5}), ([1, 0, 2, 0], {})])
def test_only_ternary_convolutions_count(weights: list[int], shares: dict[str, float]) -> None:
    x, y = TensorType((2, 2, 4), "int8", 0, 1, 1.0), TensorType((2, 2, 1), "int32", -9, 9, 1.0)
    kernel = np.array(weights, np.int8).reshape(1, 1, 4, 1)
    op = Convolve("c", ("x",), "y", (), kernel, 2 if shares else 4, KeepAccumulator(1, -9, 9), Window((1, 1), (1, 1)))
    assert sparsity_curve.nonzero_shares(Network({"x": x, "y": y}, (op,), "x", ("y",))) == shares
