"""An exported network against an executor that knows nothing of this package: onnx's own reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.network import Network, load_network, save_network
from stq_deploy.network.noise import InputNoise
from stq_deploy.network.ops import OP_KINDS, FreshNoise, RequantizedOp
from stq_deploy.network.reference import run_outputs
from stq_deploy.network.requantize import REQUANTIZE_KINDS
from stq_deploy.onnx_export import network_model
from stq_deploy.onnx_export.operations import OPERATIONS
from stq_deploy.onnx_export.requantized import FORMS
from stq_deploy.pipeline import Pipeline
from stq_deploy.rewrites import add_input_noise
from stq_deploy.zoo.shipped import resolve_model
from tests.helpers.command_line import invoke
from tests.helpers.covering_networks import SEEDS, covering_networks
from tests.helpers.frontend.tflite_cases import cases
from tests.helpers.networks import random_levels, random_network

onnx = pytest.importorskip("onnx")


def quantizers() -> list[Any]:
    """QONNX's two quantizers of weights, written from its definition: clip(round(x / scale)) * scale, and the sign."""
    from onnx.reference.op_run import OpRun

    class Quant(OpRun):
        op_domain = "qonnx.custom_op.general"

        def _run(self, x: Any, scale: Any, zero: Any, bits: Any, signed: int, narrow: int, rounding_mode: str) -> Any:
            assert rounding_mode == "ROUND"
            low = -(2 ** (bits - 1)) + narrow if signed else 0
            high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
            return (((np.round(np.clip(x / scale + zero, low, high)) - zero) * scale).astype(np.float32),)

    class BipolarQuant(OpRun):
        op_domain = "qonnx.custom_op.general"

        def _run(self, x: Any, scale: Any) -> Any:
            return (np.where(x >= 0, scale, -scale).astype(np.float32),)

    return [Quant, BipolarQuant]


def executed(model: Any, x: Any) -> list[Any]:
    from onnx.reference import ReferenceEvaluator

    found: list[Any] = ReferenceEvaluator(model, new_ops=quantizers()).run(None, {"input_levels": x})
    return found


def assert_witnessed(network: Network, dialect: Any, samples: int = 2) -> None:
    x = random_levels(network, samples).astype(network.input_type.dtype)
    model = network_model(network, dialect)
    onnx.checker.check_model(model, full_check=True)
    for ours, theirs in zip(run_outputs(network, x), executed(model, x), strict=True):
        assert theirs.dtype == ours.dtype
        assert np.array_equal(theirs, ours)


@pytest.mark.parametrize("at", range(len(SEEDS)))
def test_every_op_and_form_gives_the_same_levels(at: int) -> None:
    assert_witnessed(covering_networks()[at], "onnx" if at % 2 else "qonnx")


@pytest.mark.parametrize("case", ["conv", "add_far", "mean"])
def test_levels_that_a_file_defines_are_the_same(case: str, tmp_path: Path) -> None:
    path = tmp_path / "case.tflite"
    path.write_bytes(cases()[case][0])
    network = Pipeline().convert(path)
    forms = {op.requantize.kind for op in network.ops if isinstance(op, RequantizedOp)}
    assert "rounded" in forms
    assert_witnessed(network, "onnx", 4)


def test_a_shipped_network_gives_the_same_logits() -> None:
    network = load_network(resolve_model("zoo:stq-cifar10"))
    assert_witnessed(network, "qonnx", 1)
    # Weights of few bits are visible as such.
    quants = [node for node in network_model(network).graph.node if node.op_type == "Quant"]
    weights = [node.input[3] for node in quants]
    bits = {each.name: float(onnx.numpy_helper.to_array(each)) for each in network_model(network).graph.initializer
            if each.name in weights}  # fmt: skip
    assert set(bits.values()) == {2.0, 4.0}


def test_every_kind_can_be_exported() -> None:
    assert set(OPERATIONS) == set(OP_KINDS.values()) - {FreshNoise}
    assert set(FORMS) == set(REQUANTIZE_KINDS.values())


def test_fresh_noise_is_refused() -> None:
    with pytest.raises(StqError, match="cannot hold fresh noise"):
        network_model(add_input_noise(random_network(3), InputNoise(2.0)))


def test_the_onnx_dialect_needs_no_other_domain() -> None:
    assert {node.domain for node in network_model(random_network(3), "onnx").graph.node} == {""}


def test_convert_writes_the_file_and_replaces_only_its_own(tmp_path: Path) -> None:
    network = random_network(5)
    save_network(network, tmp_path / "net.stq")
    out = tmp_path / "net.onnx"
    command = ("convert", tmp_path / "net.stq", "--to", "onnx", "-o", out)
    out.write_bytes(b"something of the user's")
    refused = invoke(*command)
    assert refused.exit_code == 1
    assert out.read_bytes() == b"something of the user's"
    out.unlink()
    for _ in range(2):
        result = invoke(*command)
        assert result.exit_code == 0, result.output
    x = random_levels(network, 2).astype(network.input_type.dtype)
    assert np.array_equal(executed(onnx.load(str(out)), x)[0], run_outputs(network, x)[0])
    named = invoke("convert", tmp_path / "net.stq", "--to", "onnx", "-o", tmp_path / "other.stq")
    assert named.exit_code == 1
    assert "end its name in .onnx" in named.output
