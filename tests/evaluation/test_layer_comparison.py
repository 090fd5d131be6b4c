"""`verify` must find a wrong byte: in which executor, layer, sample and element."""

import pytest

from stq_deploy.evaluation.layer_comparison import compare_layers
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.network import Network
from stq_deploy.program import plan_network
from tests.helpers.broken_executor import BrokenExecutor
from tests.helpers.networks import random_levels, random_network


@pytest.fixture(name="network")
def _network() -> Network:
    return random_network(3)


def test_equal_executors(network: Network) -> None:
    seen: list[tuple[str, int]] = []
    levels = random_levels(network, 5)
    reference = NumpyExecutor(plan_network(network))
    found = compare_layers(reference, [NumpyExecutor(reference.program)], levels, lambda *done: seen.append(done))
    assert (found.differing_layers, found.differences, found.samples) == (0, (), 5)
    assert [row.name for row in found.rows] == [layer.name for layer in reference.program.layers]
    assert ("numpy", 5) in seen
    other = compare_layers(NumpyExecutor(plan_network(network)), [], random_levels(network, 5, seed=9))
    assert [row.crc for row in other.rows] != [row.crc for row in found.rows]


@pytest.mark.parametrize("layer", [0, 2, -1])
def test_one_wrong_element_is_found(network: Network, layer: int) -> None:
    layers = plan_network(network).layers
    layer %= len(layers)
    levels = random_levels(network, 6)
    broken = BrokenExecutor(plan_network(network), layer, levels[4])
    found = compare_layers(NumpyExecutor(plan_network(network)), [NumpyExecutor(plan_network(network)), broken], levels)
    assert [row.differing_samples["broken"] for row in found.rows] == [int(i == layer) for i in range(len(layers))]
    assert found.differing_layers == 1
    (difference,) = found.differences
    assert (difference.executor, difference.layer, difference.name) == ("broken", layer, layers[layer].name)
    assert (difference.sample, difference.elements) == (4, 1)
    shape = layers[layer].output.shape
    assert difference.index == tuple(n - 1 for n in shape)
    right = NumpyExecutor(plan_network(network)).layer_output(levels[4], layer)
    assert (difference.expected, difference.found) == (right[difference.index], right[difference.index] ^ 1)


def test_a_difference_that_does_not_repeat_is_told_apart(network: Network) -> None:
    levels = random_levels(network, 3)
    broken = BrokenExecutor(plan_network(network), 1, levels[2], heals=True)
    (difference,) = compare_layers(NumpyExecutor(plan_network(network)), [broken], levels).differences
    assert (difference.layer, difference.sample, difference.elements) == (1, 2, 0)
