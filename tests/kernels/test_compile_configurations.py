"""The generated C gives equal bytes whatever compiles it. `tools/check_flags` tries many more configurations."""

from __future__ import annotations

import pytest

from stq_deploy.program import plan_network
from tests.helpers.covering_networks import FAST_SEEDS, LAYERS, SEEDS
from tests.helpers.kernels.compile_configurations import (
    KERNELS,
    Configuration,
    differences,
    every_configuration,
    why_not,
)
from tests.helpers.kernels.kernel_settings import SANITIZE
from tests.helpers.networks import random_network

FLAGS = (
    ("gcc", "-O0"),
    ("gcc", "-O3"),
    ("gcc", "-Ofast -march=native -flto"),
    ("clang", "-O3 -march=native"),
    ("clang", "-O2 -flto"),
)
"""A spread of `every_configuration`: no optimization, the most of it, and the optimizers that see the whole program.
Under sanitizers, tests/executors/test_equality.py runs all covering networks."""
PROGRAMS = [
    plan_network(random_network(SEEDS[0], LAYERS), optimize="size"),
    plan_network(random_network(FAST_SEEDS[0], LAYERS), optimize="speed"),
]
"""The covering programs that hold the most kernels."""


@pytest.mark.skipif(SANITIZE, reason="compiles by itself")
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(("compiler", "flags"), FLAGS, ids=[" ".join(pair) for pair in FLAGS])
def test_equal_bytes_with_any_compiler_and_flags(compiler: str, flags: str, kernels: str) -> None:
    configuration = Configuration(compiler, flags, kernels)
    reason = why_not(configuration)
    if reason is not None:
        pytest.skip(reason)
    assert differences(configuration, PROGRAMS) == []


def test_the_spread_is_part_of_the_product() -> None:
    product = {(configuration.compiler, configuration.flags) for configuration in every_configuration()}
    assert set(FLAGS) <= product


def test_a_configuration_that_cannot_be_built_is_named() -> None:
    assert "not installed" in str(why_not(Configuration("no-such-compiler", "-O2", "reference")))
