"""`stq-deploy convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from stq_deploy.cli import cli
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import load_network
from stq_deploy.pipeline import convert_model
from stq_deploy.program import plan_network
from tests.helpers.model_files import tiny_model
from tests.helpers.networks import random_levels


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
    assert convert_model(model) == load_network(out)


@pytest.mark.keras
def test_what_waits_is_packed_where_asked_for(tmp_path: Path) -> None:
    """A residual block of 4-bit activations: while its second convolution runs, input, output and the block's input
    need memory."""
    import qkeras
    import tf_keras
    from tf_keras import layers

    def convolution(x: Any) -> Any:
        kernel = "stochastic_ternary(alpha='auto_po2')"
        x = qkeras.QConv2D(4, 3, padding="same", use_bias=False, kernel_quantizer=kernel)(x)
        return qkeras.QActivation("quantized_relu(4,2)")(x)

    tf_keras.utils.set_random_seed(0)
    inputs = layers.Input((8, 8, 1))
    skip = convolution(qkeras.QActivation("quantized_relu(8,0)")(inputs))
    total = layers.Add()([skip, convolution(convolution(skip))])
    x = layers.Flatten()(qkeras.QActivation("quantized_relu(4,2)")(total))
    x = qkeras.QDense(3, use_bias=False, kernel_quantizer="quantized_bits(4,0,1,alpha='auto_po2')")(x)
    model = tmp_path / "model.h5"
    tf_keras.Model(inputs, x).save(model)

    usual, packed = tmp_path / "usual.stq", tmp_path / "packed.stq"
    assert CliRunner().invoke(cli, ["convert", str(model), "-o", str(usual)]).exit_code == 0
    asked = CliRunner().invoke(cli, ["convert", str(model), "-o", str(packed), "--pack-activations"])
    assert asked.exit_code == 0, asked.output
    assert "packed activations: an arena of 888 bytes instead of 1,016" in asked.stdout
    levels = random_levels(load_network(usual), 5)
    logits = [NumpyExecutor(plan_network(load_network(path))).run(levels)[0] for path in (usual, packed)]
    np.testing.assert_array_equal(*logits)
    plain = CliRunner().invoke(
        cli, ["convert", str(tiny_model().save_h5(model)), "-o", str(usual), "--pack-activations"]
    )
    assert "packed no activations" in plain.stdout


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
