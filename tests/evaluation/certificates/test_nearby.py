"""Incremental recomputation against the reference, which computes everything anew."""

from __future__ import annotations

import numpy as np
import pytest

from stq_deploy.evaluation.certificates.nearby import BATCH, Nearby
from stq_deploy.network import Network, reference
from tests.helpers.networks import random_levels, random_network


def _neighbours(network: Network, levels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Pictures with no to three values changed; a change may be none."""
    spec = network.input_type
    near = np.repeat(levels[None], count, axis=0)
    for i in range(count):
        for _ in range(i % 4):
            near[(i, *(rng.integers(n) for n in levels.shape))] = rng.integers(spec.minimum, spec.maximum + 1)
    return near


@pytest.mark.parametrize("part", range(4))
def test_nearby_pictures_have_the_logits_of_the_reference(part: int) -> None:
    rng, told_apart, kinds = np.random.default_rng(part), 0, set()
    for seed in range(part, 160, 4):
        network = random_network(seed, input_dtype=("int8", "int16")[seed // 4 % 2])
        kinds |= {op.kind for op in network.ops}
        clean = random_levels(network, 3, seed)[2]
        levels = _neighbours(network, clean, BATCH + 9, rng)
        wanted = reference.run(network, levels)
        found = Nearby(network).to(clean).logits(levels)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted, err_msg=f"network {seed}")
        told_apart += bool((wanted != wanted[0]).any())
    assert told_apart > 25  # the changes reach the logits of most networks
    assert {"convolve", "depthwise_convolve", "dense", "max_pool", "average_pool", "pad", "crop", "upsample",
            "concatenate", "softmax", "curve", "pair_table", "multiply"} <= kinds  # fmt: skip


def test_any_picture_at_all_may_be_given() -> None:
    network = random_network(11)
    levels = random_levels(network, 12, 1)
    np.testing.assert_array_equal(Nearby(network).to(levels[5]).logits(levels), reference.run(network, levels))


def test_no_pictures_give_no_logits() -> None:
    network = random_network(1)
    clean = random_levels(network, 1)[0]
    found = Nearby(network).to(clean).logits(np.zeros((0, *clean.shape), np.int64))
    assert found.shape == (0, *network.output_type.shape) and found.dtype == network.output_type.dtype


def test_levels_outside_the_input_are_refused() -> None:
    network = random_network(2)
    clean = random_levels(network, 1)[0]
    wrong = clean[None].copy()
    wrong.flat[0] = network.input_type.maximum + 1
    with pytest.raises(OverflowError, match="leave the input's range"):
        Nearby(network).to(clean).logits(wrong)
