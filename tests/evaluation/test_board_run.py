"""A run compares every output of every sample with the reference, not only the one that is scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from stq_deploy.datasets.sample_metadata import SampleMetadata
from stq_deploy.datasets.samples import SampleSet
from stq_deploy.evaluation.agreement import disagreement
from stq_deploy.evaluation.board_run import Ran, SampleFile, run_file
from stq_deploy.executors.link_executor import LinkExecutor
from stq_deploy.network import Network, TensorType
from stq_deploy.network.ops import Dense
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.program import plan_network
from stq_deploy.targets.link.messages import Inference
from tests.helpers.scorings import scoring

SAMPLES = np.random.default_rng(2).integers(0, 8, (7, 4))
WEIGHTS = {"classes": np.array([[1, -1], [0, 1], [1, 0], [-1, 1]], np.int8), "extra": np.eye(4, 3, dtype=np.int8)}


def two_outputs() -> Network:
    """Two dense layers that read one input."""
    tensors = {"x": TensorType((4,), "int8", 0, 7, 1.0)}
    ops = []
    for name, weights in WEIGHTS.items():
        channels = weights.shape[1]
        tensors[name] = TensorType((channels,), "int32", -14, 14, 1.0)
        ops.append(Dense(name, ("x",), name, (), weights, 2, KeepAccumulator(channels, -14, 14)))
    return Network(tensors, tuple(ops), "x", tuple(WEIGHTS))


class FakeBoard:
    """Answers by NumPy's own products, and is wrong by one in the given sample's given output."""

    def __init__(self, wrong: tuple[int, int] | None = None) -> None:
        self.program = plan_network(two_outputs())
        facts = SimpleNamespace(board="b", model_hash=self.program.network.sha256(), build_id="i")
        self.session = SimpleNamespace(facts=facts)
        self.wrong = wrong

    def stream(
        self,
        samples: Iterable[np.ndarray],
        *,
        layer_cycles: bool = False,
        all_outputs: bool = False,
        counters: Iterable[int] | None = None,
    ) -> Iterator[Inference]:
        assert all_outputs
        for levels in samples:
            outputs = [levels.astype(np.int32) @ weights.astype(np.int32) for weights in WEIGHTS.values()]
            sample = int(np.flatnonzero((levels == SAMPLES).all(axis=1))[0])
            if self.wrong is not None and sample == self.wrong[0]:
                outputs[self.wrong[1]][-1] += 1
            yield Inference(outputs[0], 0, 0, None, None, (outputs[1].astype("<i4").tobytes(),))


def run(folder: Path, board: FakeBoard) -> Ran:
    samples = SampleSet(SAMPLES.astype(np.float32), np.zeros(len(SAMPLES), np.int64), SampleMetadata(range=(0, 7)))
    executors = cast("list[LinkExecutor]", [board])
    return run_file(executors, SampleFile("own.npz", samples), folder, scoring=scoring((2,)))


@pytest.mark.parametrize("output", [0, 1])
def test_a_difference_in_any_output_is_found(tmp_path: Path, output: int) -> None:
    ran = run(tmp_path, FakeBoard((5, output)))
    again = run(tmp_path, FakeBoard())  # the kept results show it, too
    assert (ran.run_now, again.run_now) == (len(SAMPLES), 0)
    for comparison in (ran.comparison, again.comparison):
        assert comparison.differing_logits.tolist() == [5]
        assert comparison.to_json()["differing_samples"] == [5]
        error: Any = disagreement([comparison])
        assert "1 of 7 samples: sample 5 of own.npz" in error.what


def test_equal_outputs_agree(tmp_path: Path) -> None:
    comparison = run(tmp_path, FakeBoard()).comparison
    assert comparison.differing_logits.tolist() == []
    assert disagreement([comparison]) is None
