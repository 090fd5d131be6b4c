"""Our logits against those of hls4ml's C++ simulation, which shares no line with ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools import compare_hls4ml

pytestmark = pytest.mark.keras


@pytest.mark.parametrize("case", ["many_layers_alpha_1", "many_layers_auto_po2"])
def test_every_logit_equals_hls4mls(case: str, tmp_path: Path) -> None:
    found = compare_hls4ml.compare(case, seed=0, samples=200, folder=tmp_path)
    assert found.differing == 0
    assert found.logits == 1200
    assert found.distinct > 25


def test_the_tool_fails_if_one_logit_differs_in_its_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(model: Any, samples: Any, folder: Path) -> Any:
        network = compare_hls4ml.convert_keras_model(model)
        logits = compare_hls4ml.real_logits(network, (samples * 256 - 128).astype(np.int64))
        logits[7, 3] = np.nextafter(logits[7, 3], np.inf)
        return logits

    monkeypatch.setattr(compare_hls4ml, "simulate", simulate)
    options = ["--cases", "depthwise_strides", "--seeds", "1", "--samples", "20", "--out", str(tmp_path / "out.json")]
    assert compare_hls4ml.main(options) == 1
    document = json.loads((tmp_path / "out.json").read_text())
    assert (document["logits"], document["differing"]) == (120, 1)


def test_inputs_have_both_extremes() -> None:
    levels = compare_hls4ml.extreme_and_random_levels(20, seed=0)
    assert (levels[0] == -128).all()
    assert (levels[1] == 127).all()
    assert set(np.unique(levels[2:10])) == {-128, 127}
    assert len(np.unique(levels[10:])) > 200
