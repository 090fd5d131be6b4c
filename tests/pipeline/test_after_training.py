"""Post-training quantization to few bits as a user asks for it: in Python, and as commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stq_deploy as stq
from stq_deploy.common.checked_json import Checked
from stq_deploy.common.errors import StqError
from stq_deploy.datasets.samples import SampleSet, save_samples
from stq_deploy.frontend import read_source
from stq_deploy.frontend.source import DepthwiseNode
from stq_deploy.lowering.after_training.few_bits import few_bit_kernel
from stq_deploy.lowering.after_training.method import WeightMethod
from stq_deploy.lowering.input_domain import input_grid
from stq_deploy.lowering.post_training import insert_quantizers, with_stored_floats
from stq_deploy.network import Network, load_network
from stq_deploy.network.input_format import Domain
from stq_deploy.network.metadata import PostTrainingFacts
from stq_deploy.network.ops import WeightedOp
from stq_deploy.pipeline import Conversion, CostBudget, PostTraining, convert_model
from stq_deploy.pipeline.bit_costs import program_cost
from stq_deploy.program import plan_network
from tests.helpers.command_line import invoke
from tests.helpers.float_models import float_draft, float_pixels

CALIBRATION = SampleSet(float_pixels(48, seed=1), np.zeros(48, np.int64))


@pytest.fixture(name="model", scope="module")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return float_draft().save_h5(tmp_path_factory.mktemp("m") / "m.h5")


def converted(model: Path, scheme: str = "int8", **settings: Any) -> Network:
    return convert_model(model, Conversion(post_training=PostTraining(CALIBRATION, scheme=scheme, **settings)))


def bits_of(network: Network) -> list[int]:
    return [op.weight_bits for op in network.ops if isinstance(op, WeightedOp)]


def facts_of(network: Network) -> PostTrainingFacts:
    assert network.metadata.post_training is not None
    return network.metadata.post_training


def test_int8_without_options_is_plain_rounding(model: Path) -> None:
    network = converted(model)
    same = converted(model, weights=WeightMethod())
    assert network.sha256() == same.sha256()
    assert facts_of(network).weights is None
    assert set(bits_of(network)) == {8}


def test_int4_has_weights_of_four_bits_and_the_same_bytes_each_time(model: Path) -> None:
    network = converted(model, "int4")
    assert set(bits_of(network)) == {4}
    assert network.sha256() == converted(model, "int4").sha256()
    found = facts_of(network).weights
    assert found is not None
    assert (found.equalized, found.corrected, found.rounding, found.budget) == (False, True, "adaptive", None)
    assert network.sha256() != converted(model, "int4", weights=WeightMethod()).sha256()


@pytest.mark.parametrize("kind", ["flash", "cycles"])
def test_mixed_keeps_its_budget(model: Path, kind: str) -> None:
    few, many = converted(model, "int4"), converted(model)
    ends = [program_cost(plan_network(network), CostBudget(kind, 1)) for network in (few, many)]  # type: ignore[arg-type]
    low, high = min(ends), max(ends)
    for limit in (low, (low + high) // 2, high, 10 * high):
        network = converted(model, "mixed", budget=CostBudget(kind, limit))  # type: ignore[arg-type]
        found = facts_of(network).weights
        assert found is not None
        assert found.budget is not None
        assert program_cost(plan_network(network), CostBudget(kind, 1)) == found.budget.reached <= limit  # type: ignore[arg-type]
        assert sorted(row.bits for row in found.bits) == sorted(bits_of(network))
        assert PostTrainingFacts.from_json(Checked(facts_of(network).to_json())) == facts_of(network)
    assert set(bits_of(network)) == {8}  # with room for all


def test_a_budget_that_no_choice_keeps_is_refused(model: Path) -> None:
    with pytest.raises(StqError, match="keeps the budget of 40 bytes") as refused:
        converted(model, "mixed", budget=CostBudget("flash", 40))
    assert "about" in (refused.value.cause or "")


def test_weights_that_a_file_stores_as_integers_get_few_bits(model: Path) -> None:
    """TensorFlow Lite's dynamic-range files: int8 weights that multiply floating-point values."""
    graph = read_source(model, post_training=True)
    stored = replace(graph, floats={})
    found = with_stored_floats(stored)
    assert found.floats.keys() == graph.floats.keys()
    for n, values in found.floats.items():
        depthwise = isinstance(graph.nodes[n], DepthwiseNode)
        assert np.array_equal(few_bit_kernel(values, depthwise, 8).integers, graph.kernels[n].integers)
    levels = insert_quantizers(stored, dict.fromkeys(range(len(graph.nodes)), input_grid(Domain(0.0, 1.0), 8)))
    assert with_stored_floats(levels).floats == {}  # a model with quantizers keeps its weights


def test_the_command_line_and_python_say_the_same(model: Path, tmp_path: Path) -> None:
    save_samples(CALIBRATION, tmp_path / "s.npz")
    asked = ("convert", model, "--calibrate", tmp_path / "s.npz", "-o", tmp_path / "n.stq")
    assert invoke(*asked, "--post-training", "int4", "--equalize", "--rounding", "nearest").exit_code == 0
    calibrate = CALIBRATION.x
    net = stq.convert(model, calibrate=calibrate, post_training="int4", equalize=True, rounding="nearest")
    assert load_network(tmp_path / "n.stq").sha256() == net.network.sha256()
    assert invoke(*asked, "--post-training", "mixed", "--flash-budget", "1200", "--force").exit_code == 0
    mixed = stq.convert(model, calibrate=calibrate, post_training="mixed", flash_budget=1200)
    assert load_network(tmp_path / "n.stq").sha256() == mixed.network.sha256()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--post-training", "mixed"), "takes one budget"),
        (("--post-training", "int4", "--flash-budget", "9"), "takes one budget"),
        (("--post-training", "mixed", "--flash-budget", "9", "--cycle-budget", "9"), "one budget"),
        (("--rounding", "nearest"), "--rounding is an option of post-training"),
        (("--no-equalize",), "--equalize is an option of post-training"),
    ],
)
def test_options_that_do_not_belong_together(model: Path, tmp_path: Path, options: tuple[str, ...], word: str) -> None:
    save_samples(CALIBRATION, tmp_path / "s.npz")
    refused = invoke("convert", model, "--calibrate", tmp_path / "s.npz", "-o", tmp_path / "n.stq", *options)
    assert refused.exit_code == 1
    assert word in " ".join(refused.stderr.split())
    assert not (tmp_path / "n.stq").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"post_training": "int5"}, {"post_training": "mixed"}, {"rounding": "nearest"}, {"flash_budget": 9},
        {"post_training": "int4", "rounding": "up"}, {"post_training": "mixed", "flash_budget": 0},
    ],
)  # fmt: skip
def test_python_refuses_the_same(model: Path, options: dict[str, Any]) -> None:
    with pytest.raises(StqError):
        stq.convert(model, calibrate=CALIBRATION.x, **options)
