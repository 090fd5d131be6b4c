"""A few dozen random models on this computer; `tools/sweep_networks` runs thousands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings

from tests.helpers.sweep.check_model import check_model
from tests.helpers.sweep.drawing import draw
from tests.helpers.sweep.random_models import Recipe, recipes


@pytest.mark.keras
@given(recipe=recipes())
@settings(max_examples=24, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_model_is_the_same_everywhere(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    outcome = check_model(recipe, Path(tmp_path_factory.mktemp("model")))
    event(f"refused: {outcome.refused}" if outcome.refused else "converted")
    assert not outcome.mismatches
    assert not outcome.float_differences


@pytest.mark.keras
def test_a_model_is_the_same_in_every_format(tmp_path: Path) -> None:
    found: Counter[str] = Counter()
    for number, recipe in enumerate(draw(recipes(), 8, 0, 3)):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcome = check_model(recipe, folder, executors=())
        assert not outcome.mismatches
        found.update(outcome.formats)
    assert found["Keras 2 (.keras)"] >= found["Keras 3 (.keras)"] >= 4


def test_a_recipe_prints_as_code() -> None:
    from hypothesis import find

    recipe = find(recipes(), lambda r: "QConv2D" in r.layers() and len(r.outputs) == 1)
    lines = repr(recipe).splitlines()
    assert any(line.startswith("x") and " = QConv2D(" in line and "kernel_quantizer=" in line for line in lines)
    assert lines[-1].startswith("model = Model(x0, [x")
