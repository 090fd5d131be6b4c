"""The float model: made of files that the import has passed, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from stq_deploy.common.errors import StqError
from tests.helpers.model_files import ModelDraft, tiny_model

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
def test_a_hostile_file_is_refused(where: str, tmp_path: Path) -> None:
    from stq_deploy.evaluation.float_model import FloatModel

    assert FloatModel(tiny_model().save_keras(tmp_path / "good.keras")).network is not None
    for form in ("h5", "keras"):
        path = getattr(_draft(where), f"save_{form}")(tmp_path / f"m.{form}")
        with pytest.raises(StqError):
            FloatModel(path)
