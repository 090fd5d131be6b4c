"""The tool that measures recovery: its figures repeat, and it would notice a wrong answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.link.floods import BABBLE
from tools import fuzz_link

OPTIONS = ["--samples", "60", "--rates", "0", "0.0003", "--floods", "1", "--seed", "7"]


def test_equal_seeds_give_equal_figures(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert fuzz_link.main([*OPTIONS, "--out", str(tmp_path / name)]) == 0
    figures = json.loads((tmp_path / "one").read_text())
    assert figures == json.loads((tmp_path / "two").read_text())
    assert (figures["samples"], figures["recovered"], figures["wrong"]) == (120, 120, 0)
    assert figures["injected"] == figures["runs"][1]["injected_total"] > 0
    assert figures["runs"][1]["retries"] > 0
    assert figures["endless"] == figures["wrong_in_floods"] == 0
    assert {row["babble"] for row in figures["floods"]} == set(BABBLE)
    assert any(row["gave_up"] for row in figures["floods"])


def test_a_wrong_answer_fails_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_link, "expected_logits", lambda sample: np.zeros(10, np.int32))
    assert fuzz_link.main([*OPTIONS, "--out", str(tmp_path / "wrong")]) == 1
    assert json.loads((tmp_path / "wrong").read_text())["wrong"] == 120
