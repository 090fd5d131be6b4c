"""Charts are well-formed, to scale, and safe to embed."""

from xml.etree import ElementTree as ET

import pytest

from stq_deploy.report.charts import Bar, accuracy_chart, bar_chart, confusion_chart, usage_chart

EVIL = '<script>alert("x")</script>&'
SVGS = {
    "accuracy": accuracy_chart([(EVIL, [Bar(0, 0.5, 0.4, 0.6, EVIL)]), ("b", [])]),
    "bars": bar_chart([(EVIL, 3, EVIL)], 0, EVIL),
    "usage": usage_chart([(EVIL, 30, 100)]),
    "confusion": confusion_chart([[1, 2], [0, 4]], [EVIL, "b"], EVIL),
    "nothing": bar_chart([], 0, "empty"),
    "all zero": bar_chart([("a", 0, "0")], 0, "zero"),
    "no memory": usage_chart([("a", 0, 0)]),
}


@pytest.mark.parametrize("name", SVGS)
def test_well_formed_and_escaped(name: str) -> None:
    assert "<script" not in SVGS[name]
    assert ET.fromstring(SVGS[name]).tag == "svg"


def _bars(svg: str, style: str) -> list[dict[str, str]]:
    return [r.attrib for r in ET.fromstring(svg).iter("rect") if style in r.attrib["class"].split()]


def test_bar_heights_are_the_shares() -> None:
    bars = [Bar(0, 0.25, 0.2, 0.3, ""), Bar(1, 1.0, 0.9, 1.0, "")]
    svg = accuracy_chart([("a", bars)])
    quarter, full = (float(_bars(svg, f"series{i}")[0]["height"]) for i in (0, 1))
    assert full == pytest.approx(4 * quarter)


def test_bar_lengths_are_the_values() -> None:
    one, four = (float(b["width"]) for b in _bars(bar_chart([("a", 1, ""), ("b", 4, "")], 0, "t"), "series0"))
    assert four == pytest.approx(4 * one, rel=1e-2)


def test_memory_use_never_draws_past_its_region() -> None:
    (there,) = _bars(usage_chart([("a", 300, 100)]), "empty")
    (used,) = _bars(usage_chart([("a", 300, 100)]), "series1")
    assert used["width"] == there["width"]


def test_confusion_shade_is_the_share_of_the_row() -> None:
    cells = _bars(confusion_chart([[1, 3], [0, 0]], ["a", "b"], "t"), "cell")
    assert [cell["fill-opacity"] for cell in cells] == ["0.250", "0.750", "0.000", "0.000"]
