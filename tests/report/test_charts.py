"""Charts are well-formed, to scale, the same every time, and safe to embed."""

import re
import warnings
from collections.abc import Callable
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from stq_deploy.program import Arena, ArenaTensor
from stq_deploy.report.charts import (
    Bar,
    ChartCurve,
    Column,
    Point,
    accuracy_chart,
    confusion_chart,
    curve_chart,
    layer_chart,
)
from stq_deploy.report.inline_svg import standalone_svg
from stq_deploy.report.memory_charts import arena_chart, memory_kinds, region_chart
from stq_deploy.report.network_chart import network_chart
from tests.helpers.branched_networks import branched_network
from tests.helpers.firmwares import memory, small_program


def _arena(first: str, second: str) -> Arena:
    tensors = (
        ArenaTensor("side", 60, 40, -1, 0),
        ArenaTensor(first, 0, 60, 0, 1),
        ArenaTensor(second, 0, 40, 1, 2, replaces=first),
    )
    return Arena(100, 90, 80, tensors)


def _points(*shares: float) -> list[Point]:
    return [Point(at, f"{at}/255", share, share - 0.1, share + 0.1) for at, share in enumerate(shares)]


SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("x")</script>&'
SERIES = ("Float", "Board")
CHARTS: dict[str, Callable[[str], str]] = {
    "accuracy": lambda name: accuracy_chart([(name, [Bar(0, 0.5, 0.4, 0.6, name)]), ("b", [])], SERIES),
    "layers": lambda name: layer_chart([name, "fc"], [Column("MACs", 0, [3, 4]), Column("Cycles", 2, [0, 9])]),
    "memory": lambda name: region_chart((memory(name, 30, 100, {".text": 30}),)),
    "arena": lambda name: arena_chart(_arena(name, "b"), ("first", "second")),
    "network": lambda name: network_chart(small_program(name).network),
    "curves": lambda name: curve_chart([(name, [ChartCurve(name, 1, _points(0.8, 0.2))]), ("b", [])], name),
    "confusion": lambda name: confusion_chart([[1, 2], [0, 4]], [name, "b"], name),
}
NOTHING = {
    "no layers": layer_chart([], [Column("MACs", 0, [])]),
    "all zero": layer_chart(["a"], [Column("MACs", 0, [0])]),
    "no memory": region_chart((memory("a", 0, 0),)),
    "no regions": region_chart(()),
    "no tensors": arena_chart(Arena(0, 0, 0, ()), ()),
    "no samples": accuracy_chart([], SERIES),
}


def _texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def _boxes(svg: str) -> dict[str, tuple[float, float, float]]:
    """Label -> width, height and opacity of the shape that carries it."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        title, path = group.find(f"{SVG}title"), group.find(f"{SVG}path")
        if title is None or path is None:
            continue
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", path.attrib["d"])]
        opacity = re.search(r"opacity: ([\d.]+)", path.attrib["style"])
        found[title.text or ""] = (
            max(numbers[::2]) - min(numbers[::2]),
            max(numbers[1::2]) - min(numbers[1::2]),
            float(opacity[1]) if opacity else 1.0,
        )
    return found


@pytest.mark.parametrize("chart", CHARTS)
def test_untrusted_names_are_plain_text(chart: str) -> None:
    svg = CHARTS[chart](EVIL)
    assert "<script" not in svg
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert any(text.startswith('<script>alert("x")</scr') for text in _texts(svg))


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("name", ["$x^2$", r"$\frac{1$", "a\x1b[31m\nb\x00c", "名前", "n" * 300, ' id="label:x"', ""])
def test_names_that_a_plotting_library_might_interpret(chart: str, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = CHARTS[chart](name)
    shown = "".join(c if c.isprintable() else "?" for c in name)
    shown = shown if len(shown) <= 24 else shown[:23] + "…"
    if shown:
        assert shown in _texts(svg)
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", svg)


@pytest.mark.parametrize("svg", [*(draw("a") for draw in CHARTS.values()), *NOTHING.values()])
def test_self_contained_and_titled(svg: str) -> None:
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    title = root.find(f"{SVG}title")
    assert title is not None and title.text == root.attrib["aria-label"]
    assert not re.search(r"href|url\(|@import|<image|<style| id=|\d{4}-\d\d-\d\d|[mM]atplotlib", svg)


@pytest.mark.parametrize("chart", CHARTS)
def test_same_bytes_whatever_the_user_prefers(chart: str) -> None:
    first = CHARTS[chart]("a")
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": None, "lines.linewidth": 9, "text.parse_math": True}):
        assert CHARTS[chart]("a") == first


def test_bar_heights_are_the_shares() -> None:
    bars = [Bar(0, 0.25, 0.2, 0.3, "quarter"), Bar(1, 1.0, 0.9, 1.0, "full")]
    boxes = _boxes(accuracy_chart([("a", bars)], SERIES))
    assert boxes["full"][1] == pytest.approx(4 * boxes["quarter"][1], rel=1e-4)


def test_whiskers_span_the_interval() -> None:
    """The whisker of a bar of 50 % with the interval 40 .. 60 % is 2/5 of the bar's length."""
    svg = accuracy_chart([("a", [Bar(0, 0.5, 0.4, 0.6, "half")])], SERIES)
    height = _boxes(svg)["half"][1]
    whisker = [
        abs(float(m[1]) - float(m[2]))
        for m in re.finditer(r"M [\d.]+ ([\d.]+)\s+L [\d.]+ ([\d.]+)\s+\"[^>]*--ink", svg)
    ]
    assert max(whisker) == pytest.approx(0.4 * height, rel=1e-4)


def test_the_legend_names_every_series() -> None:
    texts = _texts(accuracy_chart([("a", [Bar(0, 0.5, 0.4, 0.6, "")])], SERIES))
    assert set(SERIES) <= set(texts)
    assert "50.0" in texts


def test_bar_lengths_are_the_values_of_their_column() -> None:
    svg = layer_chart(["a", "b"], [Column("MACs", 0, [1000, 4000]), Column("Cycles", 2, [30, 10])])
    boxes = _boxes(svg)
    assert boxes["b: 4,000 MACs"][0] == pytest.approx(4 * boxes["a: 1,000 MACs"][0], rel=1e-4)
    assert boxes["a: 30 Cycles"][0] == pytest.approx(boxes["b: 4,000 MACs"][0], rel=1e-2)
    assert {"4,000", "30", "Cycles"} <= set(_texts(svg))


def test_memory_use_is_to_scale_and_never_draws_past_its_region() -> None:
    regions = (
        memory("a", 25, 100, {".vectors": 4, ".text": 16, ".stq_scratch": 5}),
        memory("b", 300, 100, {".stq_weights_b": 50, ".rodata": 10, ".stq_arena": 240}),
        memory("c", 0, 100),
    )
    svg = region_chart(regions)
    boxes = _boxes(svg)
    whole = boxes["a: 100 bytes"][0]
    assert boxes["a: 20 bytes of code"][0] == pytest.approx(0.20 * whole, rel=1e-3)
    assert boxes["a: 5 bytes of scratch"][0] == pytest.approx(0.05 * whole, rel=1e-3)
    assert boxes["b: 60 bytes of constants"][0] == pytest.approx(0.6 * whole, rel=1e-3)
    assert boxes["b: 240 bytes of activations"][0] == pytest.approx(0.4 * whole, rel=1e-3)
    assert {"300 of 100 bytes (300.0 %)", "0 of 100 bytes (0.0 %)", "code", "activations"} <= set(_texts(svg))
    assert "stack and variables" not in _texts(svg)


def test_sections_are_of_the_kind_that_their_name_begins_with() -> None:
    sections = {".text": 60, ".rodata": 40, ".stack": 7, ".bss": 2, ".copies": 1}
    assert memory_kinds(memory("a", 110, 200, sections)) == {"code": 60, "constants": 41, "stack and variables": 9}


def test_tensors_are_drawn_where_they_lie_and_as_long_as_they_live() -> None:
    """b takes a's memory while the second layer runs, so that the two boxes meet in the middle of it."""
    svg = arena_chart(_arena("a", "b"), ("first", "second"))
    boxes = _boxes(svg)
    a, b = boxes["a: 60 bytes at 0, layers 0 to 1"], boxes["b: 40 bytes at 0, layers 1 to 1"]
    side = boxes["side: 40 bytes at 60, layers 0 to 0"]
    assert b[1] == pytest.approx(a[1] * 2 / 3, rel=1e-3)
    assert side[1] == pytest.approx(b[1], rel=1e-3)
    assert (a[0] / side[0], b[0] / side[0]) == pytest.approx((1.5 / 2, 1.5 / 2), rel=1e-3)
    assert "100 bytes; at least 90 with the layers in this order, 80 in any" in _texts(svg)
    assert {"first", "second", "a", "b", "side"} <= set(_texts(svg))


def test_a_network_of_many_layers_names_some_of_them() -> None:
    names = tuple(f"layer{i}" for i in range(200))
    tensors = tuple(ArenaTensor(name, 0, 10, i, i) for i, name in enumerate(names))
    texts = _texts(arena_chart(Arena(10, 10, 10, tensors), names))
    assert len({*texts} & {*names}) == 40
    assert "layer0" in texts


def test_confusion_shade_is_the_share_of_the_row() -> None:
    boxes = _boxes(confusion_chart([[1, 3], [0, 0]], ["a", "b"], "t"))
    assert {text: box[2] for text, box in boxes.items() if " as " in text} == {
        "a as a: 1": 0.25, "a as b: 3": 0.75, "b as a: 0": 0.0, "b as b: 0": 0.0,
    }  # fmt: skip


def _numbers(path: ET.Element) -> list[float]:
    return [float(n) for n in re.findall(r"-?[\d.]+", path.attrib["d"])]


def _is_line(path: ET.Element) -> bool:
    return "fill: none" in path.attrib["style"]


def test_curves_and_their_bands_are_drawn_to_scale() -> None:
    drawn = ET.fromstring(curve_chart([("FGSM", [ChartCurve("STQ", 1, _points(0.9, 0.5, 0.1))])], "Accuracy"))
    coloured = [p for p in drawn.iter(f"{SVG}path") if "var(--s1)" in p.attrib.get("style", "")]
    numbers = {kind: [_numbers(path) for path in coloured if _is_line(path) is kind] for kind in (False, True)}
    band, line = (max(numbers[kind], key=len) for kind in (False, True))
    x, y, heights = line[::2], line[1::2], band[1::2]
    assert len(x) == 3  # and not the legend's
    assert y[1] - y[0] == pytest.approx(y[2] - y[1], rel=1e-3)
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], rel=1e-3)
    assert min(heights) == pytest.approx(y[0] - 0.1 * (y[2] - y[0]) / 0.8, rel=1e-2)
    assert max(heights) == pytest.approx(y[2] + 0.1 * (y[2] - y[0]) / 0.8, rel=1e-2)


@pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)
def test_a_chart_in_a_file_of_its_own_needs_no_page(draw: Callable[[str], str]) -> None:
    alone = standalone_svg(draw("a"))
    root = ET.fromstring(alone)
    assert "var(--" not in alone
    assert "var(--" in draw("a")
    title, page = list(root)[:2]
    assert title.tag == f"{SVG}title"
    assert (page.tag, page.attrib["fill"]) == (f"{SVG}rect", "#ffffff")
    assert [float(page.attrib[side]) for side in ("width", "height")] == [
        float(n) for n in root.attrib["viewBox"].split()[2:]
    ]


@pytest.mark.parametrize("seed", range(4))
def test_the_network_has_a_box_for_each_op_and_a_line_for_each_tensor_read(seed: int) -> None:
    """No two boxes lie in one place, and each lies below what it reads."""
    network = branched_network(seed)
    root = ET.fromstring(network_chart(network))
    boxes: dict[str, tuple[float, float]] = {}
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None and title.text is not None and ", gives " in title.text:
            (path,) = group.iter(f"{SVG}path")
            numbers = [float(number) for number in re.findall(r"-?[0-9.]+", path.attrib["d"])]
            boxes[title.text.partition(":")[0]] = (min(numbers[0::2]), min(numbers[1::2]))
    assert set(boxes) == {network.input, *(op.name for op in network.ops)}
    assert len(set(boxes.values())) == len(boxes)
    made_by = {op.output: op.name for op in network.ops} | {network.input: network.input}
    for op in network.ops:
        assert all(boxes[made_by[name]][1] < boxes[op.name][1] for name in op.inputs)
    lines = [path for path in root.iter(f"{SVG}path") if "stroke-linecap" in path.attrib.get("style", "")]
    assert len(lines) == sum(len(set(op.inputs)) for op in network.ops)
