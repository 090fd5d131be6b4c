"""docs/MISRA.md has a reason for each rule that `tools/check_misra` found broken, and for no other."""

from __future__ import annotations

import json
from pathlib import Path

from tools import check_misra

TOP = Path(__file__).resolve().parent.parent.parent


def test_each_recorded_rule_has_a_reason() -> None:
    recorded = json.loads((TOP / "docs" / "figures" / "misra.json").read_text())["findings"]
    explained = check_misra.explained((TOP / "docs" / "MISRA.md").read_text(encoding="utf-8"))
    assert recorded and recorded.keys() == explained


def test_rules_are_read_from_the_first_column_alone() -> None:
    assert check_misra.explained("| rules | x |\n|---|---|\n| 2.5, 10.1 | 3.1 |\nand 4.1\n") == {"2.5", "10.1"}
