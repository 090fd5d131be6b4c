"""The point of it all: NumPy, and the generated C with either kernel library, agree on every layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import COVERING_SEEDS, random_levels, random_network

from stq_deploy.executors.base import Executor
from stq_deploy.executors.host_executor import HostExecutor
from stq_deploy.executors.numpy_executor import NumpyExecutor
from stq_deploy.executors.sanitized_executor import SanitizedExecutor
from stq_deploy.network.ops import Add, Multiply, WeightedOp
from stq_deploy.network.requantize import REQUANTIZE_KINDS
from stq_deploy.planner import kernels as planner_kernels
from stq_deploy.planner import plan_network
from stq_deploy.toolchain.host_library import KERNELS

SAMPLES = 12


def assert_equal(executor: Executor, seed: int) -> None:
    """Equal logits and digests; else the failure names the first layer that differs, its kernel, where."""
    network = executor.network
    reference = NumpyExecutor(network)
    levels = random_levels(network, SAMPLES, seed)
    different = executor.layer_digests(levels) != reference.layer_digests(levels)
    if different.any():
        layer = int(np.flatnonzero(different.any(axis=0))[0])
        sample = int(np.flatnonzero(different[:, layer])[0])
        expected, got = (
            reference.layer_output(levels[sample], layer),
            executor.layer_output(levels[sample], layer),
        )
        where = np.argwhere(expected != got)[:5].tolist()
        kernel = plan_network(network).layers[layer].kernel
        pytest.fail(f"layer {layer} ({kernel}) differs, for sample {sample} at {where}")
    assert np.array_equal(executor.run(levels), reference.run(levels))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("seed", (*COVERING_SEEDS, *range(6)))
def test_host_equals_numpy(seed: int, kernels: str, host_cache: Path) -> None:
    with HostExecutor(random_network(seed), kernels=kernels, workers=1, cache_dir=host_cache) as host:
        assert_equal(host, seed)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("seed", COVERING_SEEDS)
def test_sanitized_host_equals_numpy(seed: int, kernels: str, host_cache: Path) -> None:
    with SanitizedExecutor(random_network(seed), kernels=kernels, cache_dir=host_cache) as host:
        assert_equal(host, seed)


def test_the_networks_meet_every_kernel_and_requantisation() -> None:
    layers = [(net, layer) for net in map(random_network, COVERING_SEEDS) for layer in plan_network(net).layers]
    assert {layer.kernel for _, layer in layers} == {kernel.function for kernel in planner_kernels.KERNELS}
    met = {
        (layer.op.kind, layer.op.requantize.kind, net.tensors[layer.op.output].dtype)
        for net, layer in layers
        if isinstance(layer.op, (WeightedOp, Add, Multiply))
    }
    for kind in ("convolve", "depthwise_convolve", "dense", "add", "multiply"):
        forms = {(form, dtype) for met_kind, form, dtype in met if met_kind == kind}
        assert forms >= {
            ("multiplier", "int8"),
            ("multiplier", "int16"),
            ("shift", "int8"),
            ("threshold", "int8"),
            ("keep", "int16"),
        }
    assert {form for _, form, _ in met} == set(REQUANTIZE_KINDS)
