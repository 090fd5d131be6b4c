"""Each difference from float arithmetic is classified by its cause; the float model here is ours, with faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from stq_deploy.evaluation.float_comparison import FloatLayer, compare_with_float
from stq_deploy.evaluation.inputs import Inputs
from stq_deploy.evaluation.scoring import Scoring
from stq_deploy.network import Network
from stq_deploy.network.metadata import Metadata
from tests.helpers.networks import random_levels, random_network

SAMPLES = 40
Fault = Callable[[np.ndarray], np.ndarray]


class FaultyFloatModel:
    """Computes as the integer network does, with a fault in one layer's output, which all later layers see."""

    def __init__(self, network: Network, layer: str, fault: Fault) -> None:
        self.network, self.layer, self.fault = network, layer, fault

    def _outputs(self, levels: np.ndarray) -> dict[str, np.ndarray]:
        values, found = {self.network.input: levels.astype(np.int64)}, {}
        for op in self.network.ops:
            output = self.network.tensors[op.output]
            result = op.run([values[name] for name in op.inputs], self.network.input_types(op), output)
            values[op.output] = found[op.name] = self.fault(result) if op.name == self.layer else result
        return found

    def layer_outputs(self, values: np.ndarray, layers: list[str]) -> list[np.ndarray]:
        found, specs = (
            self._outputs(self._levels(values)),
            {op.name: self.network.tensors[op.output] for op in self.network.ops},
        )
        return [(found[name] - specs[name].zero_point) * specs[name].scale for name in layers]

    def gives(self, layer: str) -> bool:
        return True

    def answers(self, scoring: Scoring, values: np.ndarray) -> np.ndarray:
        *_, logits = self._outputs(self._levels(values)).values()
        return scoring.answers_of_levels(logits)

    def _levels(self, values: np.ndarray) -> np.ndarray:
        return self.network.input_format.levels(values)


def _network() -> Network:
    network = random_network(3)
    return replace(network, metadata=Metadata(keras_outputs={op.name: op.name for op in network.ops}))


def _compare(layer: str, fault: Fault) -> dict[str, FloatLayer]:
    network = _network()
    model: Any = FaultyFloatModel(network, layer, fault)
    levels = random_levels(network, SAMPLES)
    found = compare_with_float(model, network, Inputs(network.input_format.values(levels), levels, 0))
    assert found.samples == SAMPLES
    return {x.name: x for x in found.layers}


def test_nothing_differs_where_nothing_is_wrong() -> None:
    found = _compare("", lambda levels: levels)
    assert found
    assert not any(layer.differing for layer in found.values())


def test_one_level_is_rounding_and_what_follows_is_inherited() -> None:
    network = _network()
    op, tensor = next((op, t) for op in network.ops if (t := network.tensors[op.output]).maximum > t.minimum + 2)
    total = tensor.elements * SAMPLES
    found = _compare(op.name, lambda levels: np.where(levels < tensor.maximum, levels + 1, levels - 1))
    assert (found[op.name].rounding, found[op.name].differing) == (total, total)
    others = [layer for name, layer in found.items() if name != op.name]
    assert sum(layer.inherited for layer in others) > 0
    assert sum(layer.rounding + layer.unexplained for layer in others) == 0
    jump = _compare(op.name, lambda levels: np.where(levels < tensor.minimum + 2, levels + 2, levels - 2))
    assert jump[op.name].unexplained == total
