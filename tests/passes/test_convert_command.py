"""`stq-deploy convert`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from model_files import tiny_model

from stq_deploy.cli import cli
from stq_deploy.network import load_network


@pytest.mark.keras
def test_convert_prints_the_certificates_and_writes_the_network(tmp_path: Path) -> None:
    model, out = tiny_model().save_h5(tmp_path / "model.h5"), tmp_path / "net.stq"
    shown = CliRunner().invoke(cli, ["convert", str(model), "-o", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "all layers before the logits are exact" in shown.stdout
    assert "left out: softmax" in shown.stdout
    first = out.read_bytes()
    asked = CliRunner().invoke(cli, ["convert", str(model), "-o", str(out), "--json"])
    assert out.read_bytes() == first
    answer = json.loads(asked.stdout)
    assert answer["model_hash"] == load_network(out).sha256()
    assert [op["name"] for op in answer["ops"]] == ["conv", "pool", "flatten", "fc"]
    assert answer["ops"][0]["certificate"]["checked"] == answer["ops"][0]["certificate"]["accumulators"]
    assert answer["ops"][0]["weight_bits"] == 2


def test_a_bad_model_is_one_message_and_leaves_no_file(tmp_path: Path) -> None:
    draft = tiny_model()
    draft.settings("conv")["padding"] = "causal"
    model = draft.save_h5(tmp_path / "model.h5")
    result = CliRunner().invoke(cli, ["convert", str(model), "-o", str(tmp_path / "net.stq")])
    assert result.exit_code == 1
    assert "layer 'conv' (QConv2D)" in result.stderr
    assert "What to do: set padding to 'same' or 'valid'" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "net.stq").exists()
