"""The point of it all: NumPy, and the generated C with either kernel library, agree on every layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stq_deploy.executors.executor import Executor
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.network import Network
from stq_deploy.program import Program, plan_network
from stq_deploy.toolchain.host_library import KERNELS
from tests.helpers.covering_networks import CODED, FAST_SEEDS, SEEDS, covering_programs, met, wanted
from tests.helpers.networks import random_levels, random_network

SAMPLES = 12
NAMES = [*map(str, SEEDS), *(f"{seed}-speed" for seed in FAST_SEEDS), "noise", *(packing for _, packing in CODED)]
COVERING = dict(zip(NAMES, covering_programs(), strict=True))
SMALL = [plan_network(random_network(seed)) for seed in range(6)]
WIDE_INPUT = [random_network(seed, input_dtype="int16") for seed in range(6)]


def assert_equal(executor: Executor) -> None:
    """Equal logits and CRCs; else the failure names the first layer that differs, its kernel, where."""
    reference = NumpyExecutor(executor.program)
    levels = random_levels(executor.program.network, SAMPLES)
    different = executor.layer_crcs(levels) != reference.layer_crcs(levels)
    if different.any():
        layer = int(np.flatnonzero(different.any(axis=0))[0])
        sample = int(np.flatnonzero(different[:, layer])[0])
        expected, got = (
            reference.layer_output(levels[sample], layer, sample),
            executor.layer_output(levels[sample], layer, sample),
        )
        where = np.argwhere(expected != got)[:5].tolist()
        kernel = executor.program.layers[layer].kernel
        pytest.fail(f"layer {layer} ({kernel}) differs, for sample {sample} at {where}")
    assert np.array_equal(executor.run(levels)[0], reference.run(levels)[0])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("program", [*COVERING.values(), *SMALL], ids=[*NAMES, *range(len(SMALL))])
def test_host_equals_numpy(program: Program, kernels: str, host_cache: Path) -> None:
    with HostExecutor(program, kernels=kernels, workers=1, cache_dir=host_cache) as host:
        assert_equal(host)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("network", WIDE_INPUT, ids=range(len(WIDE_INPUT)))
def test_host_takes_levels_of_16_bits(network: Network, kernels: str, host_cache: Path) -> None:
    assert network.input_type.dtype == "int16"
    with HostExecutor(plan_network(network), kernels=kernels, workers=1, cache_dir=host_cache) as host:
        assert_equal(host)
    with SanitizedExecutor(plan_network(network), kernels=kernels, cache_dir=host_cache) as sanitized:
        assert_equal(sanitized)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("program", COVERING.values(), ids=NAMES)
def test_sanitized_host_equals_numpy(program: Program, kernels: str, host_cache: Path) -> None:
    with SanitizedExecutor(program, kernels=kernels, cache_dir=host_cache) as host:
        assert_equal(host)


def test_the_networks_meet_every_kernel_requantization_and_output() -> None:
    found = set().union(*(met(program) for program in COVERING.values()))
    assert wanted() <= found, "run `python -m tests.helpers.covering_networks` and write its seeds there"
