"""The float model: Keras is shown no file that the import has not passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_files import ModelDraft, tiny_model

from stq_deploy.errors import StqError

EVIL = {"class_name": "system", "module": "os", "config": {"command": "x"}, "registered_name": "system"}


def _draft(where: str) -> ModelDraft:
    draft = tiny_model()
    entry = draft.entry("conv")
    if where == "initializer":
        entry["config"]["kernel_initializer"] = EVIL
    elif where == "compile":
        entry["compile_config"] = {"optimizer": EVIL}
    else:
        entry["build_config"] = {"input_shape": [None, 6, 5, 1 << 30]}
    return draft


@pytest.mark.keras
@pytest.mark.parametrize("where", ["initializer", "compile", "build"])
def test_a_hostile_file_never_reaches_keras(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stq_deploy.evaluation.float_model import FloatModel
    from stq_deploy.quantizers import factory

    shown: list[str] = []

    def load(path: str) -> Any:
        shown.append(path)

    monkeypatch.setattr(factory, "load_model", load)
    FloatModel(tiny_model().save_keras(tmp_path / "good.keras"))
    for form in ("h5", "keras"):
        path = getattr(_draft(where), f"save_{form}")(tmp_path / f"m.{form}")
        with pytest.raises(StqError):
            FloatModel(path)
    assert shown == [str(tmp_path / "good.keras")]
