"""What every executor promises: shapes, types, order, progress, clear errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stq_deploy.common.errors import StqError
from stq_deploy.executors.executor import Executor, crc_of
from stq_deploy.executors.host_executor import CHUNK, HostExecutor
from stq_deploy.executors.numpy_executor import BATCH, NumpyExecutor
from stq_deploy.executors.open_executor import open_executor
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.network import reference
from stq_deploy.program import plan_network
from tests.helpers.networks import random_levels, random_network

NETWORK = random_network(0)
PROGRAM = plan_network(NETWORK)


@pytest.fixture(params=["numpy", "host", "host-sanitized"])
def executor(request: pytest.FixtureRequest, host_cache: Path) -> Iterator[Executor]:
    made: Executor
    if request.param == "numpy":
        made = NumpyExecutor(PROGRAM)
    elif request.param == "host":
        made = HostExecutor(PROGRAM, workers=2, cache_dir=host_cache)
    else:
        made = SanitizedExecutor(PROGRAM, cache_dir=host_cache)
    with made:
        assert made.name == request.param
        yield made


def test_crc_is_zlibs_crc32_of_little_endian_bytes() -> None:
    assert crc_of(np.frombuffer(b"123456789", np.int8)) == 0xCBF43926  # the CRC-32 check value
    assert crc_of(np.frombuffer(b"1234", np.dtype("<i2"))) == crc_of(np.frombuffer(b"2143", np.dtype(">i2")))


def test_results_have_the_networks_shapes_and_types(executor: Executor) -> None:
    levels = random_levels(NETWORK, 3)
    logits, crcs = executor.run(levels)[0], executor.layer_crcs(levels)
    assert logits.shape == (3, *NETWORK.output_type.shape)
    assert logits.dtype == NETWORK.output_type.dtype
    assert crcs.shape == (3, len(PROGRAM.layers))
    assert crcs.dtype == np.uint32


def test_crcs_are_those_of_the_layer_outputs(executor: Executor) -> None:
    sample = random_levels(NETWORK, 1)
    outputs = {op.name: value[0] for op, value in reference.run_layers(NETWORK, sample)}
    for i, layer in enumerate(PROGRAM.layers):
        output = executor.layer_output(sample[0], i)
        assert output.dtype == outputs[layer.name].dtype
        assert np.array_equal(output, outputs[layer.name])
        assert executor.layer_crcs(sample)[0, i] == crc_of(outputs[layer.name])


def test_many_samples_stay_in_order_and_progress_reaches_the_end(executor: Executor) -> None:
    samples = 2 * max(CHUNK, BATCH) + 5
    levels = random_levels(NETWORK, samples)
    seen: list[int] = []
    assert np.array_equal(executor.run(levels, seen.append)[0], reference.run(NETWORK, levels))
    assert seen == sorted(seen) and seen[-1] == samples and len(seen) > 2


def test_no_samples_give_no_results(executor: Executor) -> None:
    levels = random_levels(NETWORK, 1)[:0]
    assert executor.run(levels)[0].shape == (0, *NETWORK.output_type.shape)
    assert executor.layer_crcs(levels).shape == (0, len(PROGRAM.layers))


def test_results_do_not_depend_on_what_ran_before(executor: Executor) -> None:
    levels = random_levels(NETWORK, 6)
    forwards, backwards = executor.layer_crcs(levels), executor.layer_crcs(levels[::-1])
    assert np.array_equal(forwards, backwards[::-1])


@pytest.mark.parametrize("shape", [(1, 1), (2, 99, 99, 1)])
def test_a_wrong_shape_is_refused(executor: Executor, shape: tuple[int, ...]) -> None:
    for method in (executor.run, executor.layer_crcs):
        with pytest.raises(StqError, match="input levels have shape"):
            method(np.zeros(shape, np.int64))


def test_levels_outside_the_range_are_refused(executor: Executor) -> None:
    levels = random_levels(NETWORK, 2)
    for wrong in (levels * 0 + NETWORK.input_type.maximum + 1, levels.astype(np.float64)):
        with pytest.raises(StqError, match="not integers in"):
            executor.run(wrong)


@pytest.mark.parametrize("layer", [-1, len(PROGRAM.layers)])
def test_a_layer_that_is_not_there_is_refused(executor: Executor, layer: int) -> None:
    with pytest.raises(StqError, match="there is no layer"):
        executor.layer_output(random_levels(NETWORK, 1)[0], layer)


@pytest.mark.parametrize("name", ["numpy", "host", "host-cortex-m7"])
def test_an_executor_has_the_name_it_is_opened_by(name: str) -> None:
    with open_executor(name, PROGRAM) as opened:
        assert opened.name == name


def test_closing_twice_takes_nothing_from_another_executor(executor: Executor, host_cache: Path) -> None:
    levels = random_levels(NETWORK, 2)
    other: Executor
    if executor.name == "numpy":
        other = NumpyExecutor(PROGRAM)
    else:
        kind = HostExecutor if executor.name == "host" else SanitizedExecutor
        other = kind(PROGRAM, cache_dir=host_cache)  # which shares the compiled library
    executor.run(levels)
    for _ in range(2):
        executor.close()
        assert np.array_equal(other.run(levels)[0], reference.run(NETWORK, levels))
    other.close()
