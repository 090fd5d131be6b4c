"""Units that no later weight reads: without them every output is the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.network import Network, TensorType, load_network, save_network
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.ops import Add, Convolve, Dense, Op, Window
from stq_deploy.network.reference import run_layers
from stq_deploy.network.requantize import KeepAccumulator, MultiplierRequantize
from stq_deploy.program import plan_network
from stq_deploy.rewrites.unread_units import drop_unread_units
from stq_deploy.zoo.shipped import DEFAULT_MODEL, resolve_model
from tests.helpers.command_line import invoke
from tests.helpers.model_files import tiny_model
from tests.helpers.networks import random_levels, random_network


def with_dead_units(network: Network, seed: int) -> Network:
    """The network with weights of 0 for about half of the input channels of every other layer, or for all of them."""
    rng = np.random.default_rng(seed)

    def kill(op: Op) -> Op:
        if not isinstance(op, Convolve | Dense) or op.weight_bits == 1 or rng.random() < 0.3:
            return op
        weights: Any = op.weights.copy()
        weights[..., rng.random(weights.shape[-2]) < rng.choice([0.5, 1.0], p=[0.9, 0.1]), :] = 0
        return replace(op, weights=weights)

    return replace(network, ops=tuple(kill(op) for op in network.ops))


def assert_same_but_for_units(whole: Network, small: Network, levels: npt.NDArray[np.int64]) -> None:
    """Every tensor is the same; those that lost units hold the kept ones."""
    expected = {op.name: values for op, values in run_layers(whole, levels)}
    kept = small.metadata.kept_units or {}
    for op, values in run_layers(small, levels):
        np.testing.assert_array_equal(values, expected[op.name][..., kept.get(op.name, slice(None))])
    assert [small.tensors[name] for name in small.outputs] == [whole.tensors[name] for name in whole.outputs]


def smaller_networks() -> Iterator[tuple[Network, Network]]:
    """Random networks that lose units, and what is left of them; without end."""
    for seed in itertools.count():
        whole = with_dead_units(random_network(seed), seed)
        small = drop_unread_units(whole)
        if small is not whole:
            yield whole, small


def test_random_networks_give_the_same_without_them() -> None:
    for whole, small in itertools.islice(smaller_networks(), 40):
        assert_same_but_for_units(whole, small, random_levels(whole, 5))
        assert drop_unread_units(small) is small, "all are found at once"
        assert small.sha256() != whole.sha256()


def test_the_generated_c_agrees() -> None:
    for whole, small in itertools.islice(smaller_networks(), 12):
        levels = random_levels(whole, 4)
        with HostExecutor(plan_network(whole)) as one, HostExecutor(plan_network(small)) as other:
            np.testing.assert_array_equal(one.run(levels)[0], other.run(levels)[0])


def dense(name: str, x: str, weights: list[list[int]], form: Any) -> Dense:
    return Dense(name, (x,), name, (name,), np.array(weights, np.int8), 4, form)


def multiplier(channels: int) -> MultiplierRequantize:
    ones = np.arange(1, channels + 1, dtype=np.int32)
    return MultiplierRequantize(ones << 26, ones, 2, 0, -128, 127)


def vector(size: int, dtype: str = "int8", largest: int = 127) -> TensorType:
    return TensorType((size,), dtype, -largest - 1, largest, 1.0)


def chain() -> Network:
    """4 -> a (5 units) -> b (3 units) -> logits, which read b's second alone, which reads the second and last of a."""
    return Network(
        {"x": vector(4), "a": vector(5), "b": vector(3), "logits": vector(2, "int32", 10000)},
        (
            dense("a", "x", np.arange(-10, 10).clip(-8, 7).reshape(4, 5).tolist(), multiplier(5)),
            dense("b", "a", [[5, 0, 1], [0, 1, 0], [7, 0, 1], [3, 0, 0], [0, -2, 1]], multiplier(3)),
            dense("logits", "b", [[0, 0], [3, -4], [0, 0]], KeepAccumulator(2, -10000, 10000)),
        ),
        "x",
        ("logits",),
        Metadata(keras_outputs={"a": "dense", "b": "dense_1", "logits": "dense_2"}),
    )


def test_units_read_by_dropped_ones_alone_go_too() -> None:
    small = drop_unread_units(chain())
    assert small.metadata.kept_units == {"a": (1, 4), "b": (1,)}
    assert small.metadata.keras_outputs == {"logits": "dense_2"}
    assert [small.tensors[name].shape for name in ("x", "a", "b", "logits")] == [(4,), (2,), (1,), (2,)]
    assert_same_but_for_units(chain(), small, random_levels(chain(), 50))


def test_an_output_keeps_all_its_units() -> None:
    network = replace(chain(), outputs=("logits", "a"))
    assert drop_unread_units(network).metadata.kept_units == {"b": (1,)}


def test_another_reader_keeps_them() -> None:
    """A sum reads every unit."""
    network = chain()
    total = Add("sum", ("b", "b"), "sum", (), factors=(1, 1), requantize=KeepAccumulator(3, -300, 300))
    tensors = network.tensors | {"sum": vector(3, "int32", 300)}
    network = replace(network, tensors=tensors, ops=(*network.ops, total), outputs=("logits", "sum"))
    assert drop_unread_units(network) is network


def test_one_unit_stays_where_none_is_read() -> None:
    network = chain()
    silent = replace(network.ops[2], weights=np.zeros((3, 2), np.int8))
    small = drop_unread_units(replace(network, ops=(*network.ops[:2], silent)))
    assert small.tensors["b"].shape == (1,)
    assert_same_but_for_units(replace(network, ops=(*network.ops[:2], silent)), small, random_levels(network, 20))


def test_groups_stay_whole() -> None:
    """A group's outputs cannot become fewer than another's."""
    picture = TensorType((3, 3, 4), "int8", -128, 127, 1.0)

    def convolve(name: str, x: str, inputs: int) -> Convolve:
        weights = np.ones((1, 1, inputs, 4), np.int8)
        weights[:, :, 0] = 0
        return Convolve(name, (x,), name, (name,), weights, 2, multiplier(4), Window((1, 1)))

    def network(first: int, second: int) -> Network:
        ops = (convolve("a", "x", first), convolve("b", "a", second))
        return Network({"x": picture, "a": picture, "b": picture}, ops, "x", ("b",))

    assert drop_unread_units(network(2, 4)).metadata.kept_units is None
    assert drop_unread_units(network(4, 2)).metadata.kept_units is None
    assert drop_unread_units(network(4, 4)).metadata.kept_units == {"a": (1, 2, 3)}


def test_the_shipped_network_needs_fewer(tmp_path: Path) -> None:
    """Which units are unread is counted another way: from the weights of the layer after."""
    whole = load_network(resolve_model(DEFAULT_MODEL))
    small = drop_unread_units(whole)
    after = next(op for op in whole.ops if op.name == "fc2")
    assert isinstance(after, Dense)
    assert small.metadata.kept_units == {"fc1": tuple(unit for unit, row in enumerate(after.weights) if any(row))}
    assert sum(macs for _, macs in small.macs()) < sum(macs for _, macs in whole.macs())
    save_network(small, tmp_path / "small.stq")
    again = load_network(tmp_path / "small.stq")
    assert again.sha256() == small.sha256()
    assert_same_but_for_units(whole, again, random_levels(whole, 2))


@pytest.mark.keras
def test_convert_drops_them_where_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "small.stq"
    shown = invoke("convert", DEFAULT_MODEL, "-o", str(out), "--drop-unread-units")
    assert shown.exit_code == 0
    assert f"unread units: fc1 keeps {load_network(out).tensors['fc1'].channels} of 128" in shown.stdout
    again = invoke("verify", "--model", str(out), "--executors", "numpy,host", "--limit", "2")
    assert again.exit_code == 0
    without = invoke("convert", str(tiny_model().save_h5(tmp_path / "tiny.h5")), "-o", str(out), "--drop-unread-units")
    assert "dropped no units: all are read" in without.stdout
